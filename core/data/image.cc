#include "core/data/image.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/bounded_reader.h"
#include "core/base/status.h"
#include "core/data/jpeg.h"

namespace vit {
namespace {

// OpenCV takes some files that end early for whole ones, and its libraries print what displeases
// them on stderr. So each format's own structure is walked first.

absl::Status CheckPngIsWhole(absl::string_view bytes) {
  BoundedReader reader(bytes);
  reader.Skip(8);
  while (true) {
    const uint32_t size = reader.U32Be();
    const absl::string_view chunk = reader.Bytes(size_t{size} + 4);  // name and content
    const uint32_t checksum = reader.U32Be();
    if (!reader.ok()) {
      return absl::InvalidArgumentError("PNG: the file is truncated (no end chunk)");
    }
    if (crc32_z(0, reinterpret_cast<const Bytef*>(chunk.data()), chunk.size()) != checksum) {
      return absl::InvalidArgumentError("PNG: the data is damaged (a chunk's checksum is wrong)");
    }
    if (absl::StartsWith(chunk, "IEND")) return absl::OkStatus();
  }
}

absl::Status CheckWebpIsWhole(absl::string_view bytes) {
  BoundedReader reader(bytes);
  reader.Skip(4);
  const uint32_t size = reader.U32Le();
  if (!reader.ok() || reader.remaining() < size) {
    return absl::InvalidArgumentError(absl::StrCat("WebP: the file is truncated (", bytes.size(),
                                                   " bytes of ", size + 8ull, ")"));
  }
  return absl::OkStatus();
}

absl::Status CheckBmpIsWhole(absl::string_view bytes, const ImageHeader& header) {
  BoundedReader reader(bytes);
  reader.Skip(10);
  const uint32_t pixels = reader.U32Le();
  const uint32_t info_size = reader.U32Le();
  reader.Skip(info_size == 12 ? 4 : 8);
  reader.Skip(2);  // planes
  const uint16_t bits = reader.U16Le();
  const uint32_t compression = info_size == 12 ? 0 : reader.U32Le();
  const uint32_t stored = info_size == 12 ? 0 : reader.U32Le();
  constexpr uint32_t kRle8 = 1;
  constexpr uint32_t kRle4 = 2;
  constexpr uint32_t kBitFields = 3;
  if (reader.ok() && compression > kBitFields) {
    return absl::InvalidArgumentError(
        absl::StrCat("BMP: unknown kind of compression ", compression));
  }
  const bool run_length = compression == kRle8 || compression == kRle4;
  const uint64_t stride = (uint64_t{bits} * header.width + 31) / 32 * 4;
  const uint64_t needed = run_length ? stored : stride * header.height;
  if (!reader.ok() || bytes.size() < pixels || bytes.size() - pixels < needed) {
    return absl::InvalidArgumentError(absl::StrCat("BMP: the file is truncated (", bytes.size(),
                                                   " bytes of ", pixels + needed, ")"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Image> DecodeWithOpenCv(absl::string_view bytes, const ImageHeader& header,
                                       absl::string_view format) {
  return CatchExceptions(format, [&]() -> absl::StatusOr<Image> {
    const cv::Mat buffer(1, static_cast<int>(bytes.size()), CV_8UC1,
                         const_cast<char*>(bytes.data()));
    cv::Mat bgr;
    try {
      bgr = cv::imdecode(buffer, cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION);
    } catch (const cv::Exception& e) {
      if (e.code == cv::Error::StsNoMem) throw;
      return absl::InvalidArgumentError(
          absl::StrCat(format, ": the data is damaged (", e.err, ")"));
    }
    if (bgr.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(format, ": the data is damaged"));
    }
    if (bgr.cols != header.width || bgr.rows != header.height || bgr.type() != CV_8UC3) {
      return absl::InvalidArgumentError(absl::StrCat(format, ": the header says ", header.width,
                                                     "x", header.height, " but the picture is ",
                                                     bgr.cols, "x", bgr.rows));
    }
    Image image{bgr.cols, bgr.rows, {}};
    image.rgb.resize(size_t{3} * bgr.cols * bgr.rows);
    uint8_t* out = image.rgb.data();
    for (int y = 0; y < bgr.rows; ++y) {
      const uint8_t* in = bgr.ptr<uint8_t>(y);
      for (int x = 0; x < bgr.cols; ++x, in += 3, out += 3) {
        out[0] = in[2];
        out[1] = in[1];
        out[2] = in[0];
      }
    }
    return image;
  });
}

// Turns a picture upright. EXIF names the place of the stored first row and column; 5 to 8 exchange
// the axes.
Image Orient(Image image, int orientation) {
  const bool transpose = orientation >= 5;
  // Whether upright rows (columns) run against the stored axis that they come from.
  const bool reverse_y =
      orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const bool reverse_x =
      orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const int width = transpose ? image.height : image.width;
  const int height = transpose ? image.width : image.height;
  Image out{width, height, std::vector<uint8_t>(image.rgb.size())};
  uint8_t* to = out.rgb.data();
  for (int y = 0; y < height; ++y) {
    const int from_y = reverse_y ? height - 1 - y : y;
    for (int x = 0; x < width; ++x, to += 3) {
      const int from_x = reverse_x ? width - 1 - x : x;
      const size_t row = transpose ? from_x : from_y;
      const size_t column = transpose ? from_y : from_x;
      memcpy(to, &image.rgb[3 * (row * image.width + column)], 3);
    }
  }
  return out;
}

// As stored. PNG, WebP and BMP are always decoded whole.
absl::StatusOr<ImagePart> DecodeAsStored(absl::string_view bytes, const ImageHeader& header,
                                         const PixelRequest& request) {
  const auto whole = [&](absl::StatusOr<Image> image) -> absl::StatusOr<ImagePart> {
    VIT_RETURN_IF_ERROR(image.status());
    return WholePart(*std::move(image), request);
  };
  switch (header.format) {
    case ImageFormat::kJpeg:
      return DecodeJpeg(bytes, header, request);
    case ImageFormat::kPng:
      VIT_RETURN_IF_ERROR(CheckPngIsWhole(bytes));
      return whole(DecodeWithOpenCv(bytes, header, "PNG"));
    case ImageFormat::kWebp:
      VIT_RETURN_IF_ERROR(CheckWebpIsWhole(bytes));
      return whole(DecodeWithOpenCv(bytes, header, "WebP"));
    case ImageFormat::kBmp:
      VIT_RETURN_IF_ERROR(CheckBmpIsWhole(bytes, header));
      return whole(DecodeWithOpenCv(bytes, header, "BMP"));
  }
  return absl::InternalError("unknown image format");
}

}  // namespace

ImagePart WholePart(Image image, const PixelRequest& request) {
  if (request.choose) request.choose(image.width, image.height);
  return {.image = std::move(image)};
}

absl::StatusOr<ImagePart> DecodePart(absl::string_view bytes, const DecodeOptions& options,
                                     const PixelRequest& request) {
  const int64_t max_bytes =
      std::min<int64_t>(options.limits.max_bytes, std::numeric_limits<int>::max());
  if (static_cast<int64_t>(bytes.size()) > max_bytes) {
    return OverLimitError(
        absl::StrCat("the image has ", bytes.size(), " bytes, over the limit of ", max_bytes));
  }
  VIT_ASSIGN_OR_RETURN(const ImageHeader header, ReadImageHeader(bytes));
  const int64_t pixels = int64_t{header.width} * header.height;
  if (pixels > options.limits.max_pixels) {
    return OverLimitError(absl::StrCat("the image is ", header.width, "x", header.height, ", ",
                                       pixels, " pixels, over the limit of ",
                                       options.limits.max_pixels));
  }
  return CatchExceptions("decode", [&]() -> absl::StatusOr<ImagePart> {
    if (!options.apply_orientation || header.orientation == 1) {
      return DecodeAsStored(bytes, header, request);
    }
    VIT_ASSIGN_OR_RETURN(ImagePart all,
                         DecodeAsStored(bytes, header, {.min_short_side = request.min_short_side}));
    return WholePart(Orient(std::move(all.image), header.orientation), request);
  });
}

absl::StatusOr<Image> DecodeImage(absl::string_view bytes, const DecodeOptions& options,
                                  int min_short_side) {
  VIT_ASSIGN_OR_RETURN(ImagePart whole,
                       DecodePart(bytes, options, {.min_short_side = min_short_side}));
  return std::move(whole.image);
}

}  // namespace vit
