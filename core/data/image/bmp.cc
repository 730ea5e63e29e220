#include "core/data/image/bmp.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/bounded_reader.h"
#include "core/base/status.h"
#include "core/data/image/image_header.h"

namespace vit {
namespace {

// BITMAPINFOHEADER's biCompression.
enum Compression : uint32_t { kNone = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3 };

constexpr uint32_t kFileHeader = 14, kCoreHeader = 12;

struct Layout {
  int width = 0, height = 0;
  bool top_down = false;
  uint32_t pixels = 0;  // offset in the file
  int bits = 0;         // per pixel
  uint32_t compression = kNone;
  std::array<uint32_t, 3> masks{};  // red, green, blue, of kBitFields
  std::array<std::array<uint8_t, 3>, 256> palette{};
};

absl::Status Truncated(size_t size, uint64_t needed) {
  return absl::InvalidArgumentError(
      absl::StrCat("BMP: the file is truncated (", size, " bytes of ", needed, ")"));
}

absl::Status NotRead(const Layout& layout) {
  return absl::InvalidArgumentError(absl::StrCat("BMP: ", layout.bits,
                                                 " bits per pixel with compression ",
                                                 layout.compression, " are not supported"));
}

bool IsRunLength(const Layout& layout) {
  return layout.compression == kRle8 || layout.compression == kRle4;
}

// The bytes of a row of pixels that is not run-length encoded: a multiple of four.
uint64_t Stride(const Layout& layout) {
  return (uint64_t{static_cast<uint32_t>(layout.bits)} * layout.width + 31) / 32 * 4;
}

absl::Status CheckKind(const Layout& layout) {
  const auto& masks = layout.masks;
  using Masks = std::array<uint32_t, 3>;
  switch (layout.compression) {
    case kNone:
      for (const int bits : {1, 4, 8, 16, 24, 32}) {
        if (layout.bits == bits) return absl::OkStatus();
      }
      break;
    case kRle8:
      if (layout.bits == 8) return absl::OkStatus();
      break;
    case kRle4:
      if (layout.bits == 4) return absl::OkStatus();
      break;
    case kBitFields:
      if (layout.bits == 16 &&
          (masks == Masks{0x7c00, 0x3e0, 0x1f} || masks == Masks{0xf800, 0x7e0, 0x1f})) {
        return absl::OkStatus();
      }
      if (layout.bits == 32 &&
          (masks == Masks{0xff0000, 0xff00, 0xff} || masks == Masks{0xff, 0xff00, 0xff0000} ||
           masks == Masks{0xff000000, 0xff0000, 0xff00})) {
        return absl::OkStatus();
      }
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("BMP: unknown kind of compression ", layout.compression));
  }
  return NotRead(layout);
}

// Reads everything before the pixels.
absl::StatusOr<Layout> ReadLayout(absl::string_view bytes, const ImageHeader& header) {
  Layout layout{.width = header.width, .height = header.height};
  BoundedReader reader(bytes);
  reader.Skip(10);
  layout.pixels = reader.U32Le();
  const uint32_t info_size = reader.U32Le();
  uint32_t colors = 0;
  size_t palette_at = kFileHeader + size_t{info_size};
  const bool core = info_size == kCoreHeader;
  if (core) {
    reader.Skip(4 + 2);  // sides, planes
    layout.bits = reader.U16Le();
  } else {
    reader.Skip(4);
    layout.top_down = static_cast<int32_t>(reader.U32Le()) < 0;
    reader.Skip(2);
    layout.bits = reader.U16Le();
    layout.compression = reader.U32Le();
    reader.Skip(12);  // size, resolution
    colors = reader.U32Le();
    reader.Skip(4);  // important colours
    if (layout.compression == kBitFields) {
      // After a header of 40 bytes, or as the next fields of a longer one: the same place.
      for (uint32_t& mask : layout.masks) mask = reader.U32Le();
    }
  }
  if (!reader.ok()) return absl::InvalidArgumentError("BMP: the header is truncated");
  VIT_RETURN_IF_ERROR(CheckKind(layout));
  if (layout.bits > 8) return layout;
  if (colors > 256) {
    return absl::InvalidArgumentError(
        absl::StrCat("BMP: the palette has ", colors, " colours; expected at most 256"));
  }
  if (colors == 0) colors = 1u << layout.bits;
  const size_t entry = core ? 3 : 4;
  if (palette_at > bytes.size() || bytes.size() - palette_at < colors * entry) {
    return absl::InvalidArgumentError("BMP: the palette is truncated");
  }
  const auto* from = reinterpret_cast<const uint8_t*>(bytes.data()) + palette_at;
  for (uint32_t i = 0; i < colors; ++i, from += entry) {
    layout.palette[i] = {from[2], from[1], from[0]};  // stored blue first
  }
  return layout;
}

// Converts one stored row to red, green and blue.
void ConvertRow(const Layout& layout, const uint8_t* in, uint8_t* out) {
  const int width = layout.width;
  const auto put = [&](int red, int green, int blue) {
    *out++ = static_cast<uint8_t>(red);
    *out++ = static_cast<uint8_t>(green);
    *out++ = static_cast<uint8_t>(blue);
  };
  switch (layout.bits) {
    case 16: {
      const bool six_green = layout.compression == kBitFields && layout.masks[1] == 0x7e0;
      for (int x = 0; x < width; ++x, in += 2) {
        const int v = in[0] | in[1] << 8;
        if (six_green) {
          put(v >> 8 & 0xf8, v >> 3 & 0xfc, v << 3 & 0xf8);
        } else {
          put(v >> 7 & 0xf8, v >> 2 & 0xf8, v << 3 & 0xf8);
        }
      }
      return;
    }
    case 24:
      for (int x = 0; x < width; ++x, in += 3) put(in[2], in[1], in[0]);
      return;
    case 32: {
      int red = 2, green = 1, blue = 0;  // the place of each in the four bytes
      if (layout.compression == kBitFields) {
        const auto place = [](uint32_t mask) { return __builtin_ctz(mask) / 8; };
        red = place(layout.masks[0]);
        green = place(layout.masks[1]);
        blue = place(layout.masks[2]);
      }
      for (int x = 0; x < width; ++x, in += 4) put(in[red], in[green], in[blue]);
      return;
    }
    default: {
      const int bits = layout.bits, per_byte = 8 / bits, mask = (1 << bits) - 1;
      for (int x = 0; x < width; ++x) {
        const auto& color =
            layout.palette[in[x / per_byte] >> (8 - bits * (x % per_byte + 1)) & mask];
        put(color[0], color[1], color[2]);
      }
    }
  }
}

// Draws the runs onto `image`; gaps between them get the palette's first colour.
absl::Status DrawRuns(const Layout& layout, absl::string_view runs, Image* image) {
  const int width = layout.width, height = layout.height;
  for (size_t i = 0; i < image->rgb.size(); i += 3) memcpy(&image->rgb[i], &layout.palette[0], 3);
  const absl::Status damaged =
      absl::InvalidArgumentError("BMP: the data is damaged (a run leaves the image)");
  BoundedReader reader(runs);
  int x = 0, y = 0;  // rows as stored
  const auto put = [&](int color) {
    const int row = layout.top_down ? y : height - 1 - y;
    memcpy(&image->rgb[3 * (static_cast<size_t>(row) * width + x++)], &layout.palette[color], 3);
  };
  const bool nibbles = layout.compression == kRle4;
  while (y < height) {
    const int count = reader.U8(), value = reader.U8();
    if (!reader.ok()) {
      // Some writers omit the end mark.
      if (y == height - 1 && x == width) return absl::OkStatus();
      return Truncated(runs.size(), runs.size() + 1);
    }
    if (count > 0) {  // one colour, or two alternating
      if (count > width - x) return damaged;
      for (int i = 0; i < count; ++i) {
        put(!nibbles ? value : i % 2 == 0 ? value >> 4 : value & 15);
      }
    } else if (value > 2) {  // this many colours follow
      const int size = nibbles ? (value + 1) / 2 : value;
      const absl::string_view colors = reader.Bytes(size + size % 2);
      if (!reader.ok()) return Truncated(runs.size(), runs.size() + 1);
      if (value > width - x) return damaged;
      for (int i = 0; i < value; ++i) {
        const auto byte = static_cast<uint8_t>(colors[nibbles ? i / 2 : i]);
        put(!nibbles ? byte : i % 2 == 0 ? byte >> 4 : byte & 15);
      }
    } else if (value == 0) {  // the end of the row
      x = 0;
      ++y;
    } else if (value == 1) {  // the end of the image
      return absl::OkStatus();
    } else {  // a step to the right and up
      x += reader.U8();
      y += reader.U8();
      if (!reader.ok()) return Truncated(runs.size(), runs.size() + 1);
      if (x > width || y > height) return damaged;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Image> DecodeBmp(absl::string_view bytes, const ImageHeader& header) {
  VIT_ASSIGN_OR_RETURN(const Layout layout, ReadLayout(bytes, header));
  if (bytes.size() < layout.pixels) return Truncated(bytes.size(), layout.pixels);
  const absl::string_view pixels = bytes.substr(layout.pixels);
  const uint64_t stride = Stride(layout);
  // Width and bits are positive. NOLINTNEXTLINE(clang-analyzer-core.DivideZero)
  if (!IsRunLength(layout) && pixels.size() / stride < static_cast<uint64_t>(layout.height)) {
    return Truncated(bytes.size(), layout.pixels + stride * layout.height);
  }
  Image image{layout.width, layout.height, {}};
  image.rgb.resize(size_t{3} * image.width * image.height);
  if (IsRunLength(layout)) {
    VIT_RETURN_IF_ERROR(DrawRuns(layout, pixels, &image));
    return image;
  }
  for (int y = 0; y < layout.height; ++y) {
    const int row = layout.top_down ? y : layout.height - 1 - y;
    ConvertRow(layout, reinterpret_cast<const uint8_t*>(pixels.data()) + y * stride,
               &image.rgb[size_t{3} * row * image.width]);
  }
  return image;
}

}  // namespace vit
