#include "core/data/image/jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/data/image/image_header.h"
// After stdio.h, which it needs but does not include.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace vit {
namespace {

// libjpeg reports errors through a callback that must not return: it jumps back to the function of
// this file that called libjpeg. Those functions hold no objects with destructors.
struct ErrorTrap {
  jpeg_error_mgr manager;  // first: libjpeg hands its address back
  jmp_buf on_error;
  char message[JMSG_LENGTH_MAX];
};

ErrorTrap* TrapOf(j_common_ptr info) { return reinterpret_cast<ErrorTrap*>(info->err); }

[[noreturn]] void Fail(j_common_ptr info) {
  info->err->format_message(info, TrapOf(info)->message);
  longjmp(TrapOf(info)->on_error, 1);
}

struct Decoder {
  jpeg_decompress_struct info;
  jpeg_progress_mgr progress;
  ErrorTrap trap;
};

// libjpeg makes up what a truncated or damaged file lacks and only warns. Passes warnings that
// change no pixel; fails for all others.
void OnMessage(j_common_ptr info, int level) {
  if (level >= 0) return;  // a trace
  switch (info->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA:
      return;
    default:
      Fail(info);
  }
}

// A small progressive file can ask for any number of passes over a large image.
void OnProgress(j_common_ptr info) {
  constexpr int kMaxScans = 200;
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMaxScans) {
    snprintf(TrapOf(info)->message, sizeof(TrapOf(info)->message), "more than %d scans", kMaxScans);
    longjmp(TrapOf(info)->on_error, 1);
  }
}

void Ignore(j_common_ptr) {}

// Reads the header, which must be the one that was checked, and starts the decoder. Sets the
// message if it returns false.
bool Start(Decoder* decoder, const unsigned char* data, size_t size, int width, int height,
           int scale_denominator) {
  jpeg_decompress_struct* info = &decoder->info;
  info->err = jpeg_std_error(&decoder->trap.manager);
  decoder->trap.manager.error_exit = Fail;
  decoder->trap.manager.emit_message = OnMessage;
  decoder->trap.manager.output_message = Ignore;
  if (setjmp(decoder->trap.on_error)) return false;
  jpeg_create_decompress(info);
  decoder->progress = {};
  decoder->progress.progress_monitor = OnProgress;
  info->progress = &decoder->progress;
  jpeg_mem_src(info, data, size);
  jpeg_read_header(info, TRUE);
  // Before these numbers determine how much memory is allocated.
  if (info->image_width != static_cast<unsigned>(width) ||
      info->image_height != static_cast<unsigned>(height)) {
    snprintf(decoder->trap.message, sizeof(decoder->trap.message),
             "two frame headers contradict each other");
    return false;
  }
  info->scale_num = 1;
  info->scale_denom = scale_denominator;
  // libjpeg turns every other colour space into one of these two.
  const bool cmyk = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
  info->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(info);
  return true;
}

// CMYK as Pillow reads it: inks stored inverted, as Adobe does.
void CmykRowToRgb(const uint8_t* cmyk, int width, uint8_t* rgb) {
  for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
    for (int c = 0; c < 3; ++c) {
      const unsigned product = (255 - cmyk[c]) * cmyk[3] + 128;
      const int ink = static_cast<int>((product + (product >> 8)) >> 8);
      rgb[c] = static_cast<uint8_t>(std::max(0, cmyk[3] - ink));
    }
  }
}

// From now on decodes only enough of each row for columns left .. left + width - 1 to be exact; the
// decoded part starts at `*first` and is output_width wide.
bool CropColumns(Decoder* decoder, int64_t left, int width, int64_t* first) {
  // Chroma is interpolated as if the crop ended at the image's edge, which changes the outermost
  // pixels.
  constexpr int kMargin = 2;
  jpeg_decompress_struct* info = &decoder->info;
  if (setjmp(decoder->trap.on_error)) return false;
  const int64_t begin = std::max<int64_t>(left - kMargin, 0);
  const int64_t end = std::min<int64_t>(left + width + kMargin, info->output_width);
  auto from = static_cast<JDIMENSION>(begin);
  auto count = static_cast<JDIMENSION>(end - begin);
  jpeg_crop_scanline(info, &from, &count);
  *first = from;
  return true;
}

// Decodes rows top .. top + height - 1 into `rgb`; `row` has room for one row of four channels.
// With `to_the_end`, also reads the rest to find damage in it.
bool ReadRows(Decoder* decoder, int64_t top, int height, bool to_the_end, uint8_t* rgb,
              uint8_t* row) {
  jpeg_decompress_struct* info = &decoder->info;
  if (setjmp(decoder->trap.on_error)) return false;
  const size_t stride = size_t{3} * info->output_width;
  const bool cmyk = info->out_color_space == JCS_CMYK;
  if (top > 0) jpeg_skip_scanlines(info, static_cast<JDIMENSION>(top));
  for (int y = 0; y < height; ++y) {
    uint8_t* out = rgb + y * stride;
    uint8_t* target = cmyk ? row : out;
    jpeg_read_scanlines(info, &target, 1);
    if (cmyk) CmykRowToRgb(row, static_cast<int>(info->output_width), out);
  }
  if (!to_the_end) return true;
  // Skipping to the last row checks all the data before it; skipping past it checks none.
  const JDIMENSION left = info->output_height - info->output_scanline;
  if (left > 1) jpeg_skip_scanlines(info, left - 1);
  if (left > 0) {
    uint8_t* target = row;
    jpeg_read_scanlines(info, &target, 1);
  }
  jpeg_finish_decompress(info);
  return true;
}

// Returns the denominator by which an image may shrink; see PixelRequest.
int ScaleFor(const ImageHeader& header, int min_short_side) {
  int scale = 1;
  if (min_short_side > 0) {
    const int short_side = std::min(header.width, header.height);
    while (scale < 8 && short_side / (2 * scale) >= min_short_side) scale *= 2;
  }
  return scale;
}

struct Encoder {
  jpeg_compress_struct info;
  ErrorTrap trap;
  unsigned char* bytes = nullptr;  // malloc's
  unsigned long size = 0;          // NOLINT(google-runtime-int): libjpeg's type
  bool done = false;
};

// Sets the message if it returns false.
bool Encode(Encoder* encoder, const uint8_t* rgb, int width, int height, int quality) {
  jpeg_compress_struct* info = &encoder->info;
  info->err = jpeg_std_error(&encoder->trap.manager);
  encoder->trap.manager.error_exit = Fail;
  encoder->trap.manager.output_message = Ignore;
  if (setjmp(encoder->trap.on_error)) return false;
  jpeg_create_compress(info);
  jpeg_mem_dest(info, &encoder->bytes, &encoder->size);
  info->image_width = static_cast<JDIMENSION>(width);
  info->image_height = static_cast<JDIMENSION>(height);
  info->input_components = 3;
  info->in_color_space = JCS_RGB;
  jpeg_set_defaults(info);
  jpeg_set_quality(info, quality, /*force_baseline=*/TRUE);
  jpeg_start_compress(info, /*write_all_tables=*/TRUE);
  while (info->next_scanline < info->image_height) {
    auto* row = const_cast<uint8_t*>(rgb) + size_t{3} * info->image_width * info->next_scanline;
    jpeg_write_scanlines(info, &row, 1);
  }
  jpeg_finish_compress(info);
  encoder->done = true;
  return true;
}

}  // namespace

absl::StatusOr<ImagePart> DecodeJpeg(absl::string_view bytes, const ImageHeader& header,
                                     const PixelRequest& request) {
  auto decoder = std::make_unique<Decoder>();
  // jpeg_destroy works on a decoder that was never created as long as it is zero.
  *decoder = {};
  struct Destroyer {
    ~Destroyer() { jpeg_destroy_decompress(info); }
    jpeg_decompress_struct* info;
  } destroyer{&decoder->info};
  const auto failed = [&] {
    return absl::InvalidArgumentError(absl::StrCat("JPEG: ", decoder->trap.message));
  };
  if (!Start(decoder.get(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
             header.width, header.height, ScaleFor(header, request.min_short_side))) {
    return failed();
  }
  const jpeg_decompress_struct& info = decoder->info;
  const auto width = static_cast<int>(info.output_width);
  const auto height = static_cast<int>(info.output_height);
  Region region{0, 0, width, height};
  if (request.choose) region = request.choose(width, height);
  ImagePart part;
  // A progressive image is decoded as a whole: if it lacks scans, libjpeg smooths its blocks, and
  // would do so differently at the edge of a crop.
  if (info.progressive_mode) region = {0, 0, width, height};
  if (region.width < width && !CropColumns(decoder.get(), region.left, region.width, &part.left)) {
    return failed();
  }
  part.top = region.top;
  part.image.width = static_cast<int>(info.output_width);
  part.image.height = region.height;
  part.image.rgb.resize(size_t{3} * part.image.width * part.image.height);
  std::vector<uint8_t> row(size_t{4} * part.image.width);
  if (!ReadRows(decoder.get(), region.top, region.height, !request.known_whole,
                part.image.rgb.data(), row.data())) {
    return failed();
  }
  return part;
}

absl::StatusOr<std::string> EncodeJpeg(const Image& image, int quality) {
  // Checked here, because a failure inside libjpeg leaks memory.
  if (std::max(image.width, image.height) > JPEG_MAX_DIMENSION) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot encode as JPEG: ", image.width, " x ", image.height,
                     " pixels, where a side has at most ", JPEG_MAX_DIMENSION));
  }
  auto encoder = std::make_unique<Encoder>();
  *encoder = {};
  struct Destroyer {
    ~Destroyer() {
      jpeg_destroy_compress(&encoder->info);
      // After a failure libjpeg may have freed it without saying so.
      if (encoder->done) free(encoder->bytes);
    }
    Encoder* encoder;
  } destroyer{encoder.get()};
  if (!Encode(encoder.get(), image.rgb.data(), image.width, image.height, quality)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot encode as JPEG: ", encoder->trap.message));
  }
  return std::string(reinterpret_cast<const char*>(encoder->bytes), encoder->size);
}

}  // namespace vit
