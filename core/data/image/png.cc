#include "core/data/image/png.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <zlib.h>

#include <cstring>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/bounded_reader.h"
#include "core/data/image/image_header.h"

namespace vit {
namespace {

// libpng accepts a missing end, and does not verify checksums of chunks that it skips.
absl::Status CheckIsWhole(absl::string_view bytes) {
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

// libpng reports errors through a callback that must not return: it jumps back to Read, which holds
// no objects with destructors.
struct Decoder {
  const char* next;
  size_t left;
  png_struct* png = nullptr;
  png_info* info = nullptr;
  char message[128] = "out of memory";
};

[[noreturn]] void Fail(png_struct* png, const char* message) {
  auto* decoder = static_cast<Decoder*>(png_get_error_ptr(png));
  snprintf(decoder->message, sizeof(decoder->message), "%s", message);
  png_longjmp(png, 1);
}

void Ignore(png_struct*, const char*) {}

void ReadBytes(png_struct* png, png_byte* out, size_t count) {
  auto* decoder = static_cast<Decoder*>(png_get_io_ptr(png));
  if (count > decoder->left) Fail(png, "the file is truncated");
  memcpy(out, decoder->next, count);
  decoder->next += count;
  decoder->left -= count;
}

// Fills `rows`, each of 3 * width bytes. Sets the message if it returns false.
bool Read(Decoder* decoder, int width, int height, png_byte** rows) {
  decoder->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, decoder, &Fail, &Ignore);
  if (decoder->png == nullptr) return false;
  png_struct* const png = decoder->png;
  if (setjmp(png_jmpbuf(png))) return false;
  decoder->info = png_create_info_struct(png);
  if (decoder->info == nullptr) return false;
  png_info* const info = decoder->info;
  png_set_read_fn(png, decoder, &ReadBytes);
  // Texts and profiles are not needed, and may be of any size: -1 stands for all chunks but those
  // that contribute to the pixels.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_set_chunk_cache_max(png, 1);
  png_set_user_limits(png, 0x7fffffff, 0x7fffffff);  // checked by the caller
  png_read_info(png, info);
  if (png_get_image_width(png, info) != static_cast<png_uint_32>(width) ||
      png_get_image_height(png, info) != static_cast<png_uint_32>(height)) {
    Fail(png, "two headers contradict each other");
  }
  const int type = png_get_color_type(png, info);
  if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
  if ((type & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(png);
  png_set_strip_16(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  if (png_get_rowbytes(png, info) != size_t{3} * width) Fail(png, "the rows have a wrong length");
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  return true;
}

}  // namespace

absl::StatusOr<Image> DecodePng(absl::string_view bytes, const ImageHeader& header) {
  if (const absl::Status whole = CheckIsWhole(bytes); !whole.ok()) return whole;
  Image image{header.width, header.height, {}};
  image.rgb.resize(size_t{3} * image.width * image.height);
  std::vector<png_byte*> rows(image.height);
  for (int y = 0; y < image.height; ++y) rows[y] = &image.rgb[size_t{3} * image.width * y];
  Decoder decoder{.next = bytes.data(), .left = bytes.size()};
  const bool read = Read(&decoder, image.width, image.height, rows.data());
  png_destroy_read_struct(&decoder.png, &decoder.info, nullptr);
  if (!read) {
    return absl::InvalidArgumentError(
        absl::StrCat("PNG: the data is damaged (", decoder.message, ")"));
  }
  return image;
}

absl::StatusOr<std::string> EncodePng(const uint8_t* pixels, int width, int height,
                                      ChannelOrder order) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = order == ChannelOrder::kBgr ? PNG_FORMAT_BGR : PNG_FORMAT_RGB;
  std::string bytes(PNG_IMAGE_PNG_SIZE_MAX(image), '\0');
  png_alloc_size_t size = bytes.size();
  if (!png_image_write_to_memory(&image, bytes.data(), &size, /*convert_to_8bit=*/0, pixels,
                                 /*row_stride=*/0, /*colormap=*/nullptr)) {
    return absl::InternalError(absl::StrCat("cannot encode as PNG: ", image.message));
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace vit
