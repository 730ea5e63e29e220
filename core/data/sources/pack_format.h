// The file behind packed:PATH: all images of a source in one file that is mapped into memory.
//
// All numbers are little-endian. From the start:
//   header    one page: "VITPACK1"; u64 offset and u64 size of the index; u32 CRC-32 of the index;
//             u32 classes; u64 training and u64 validation samples; u32 native size (0 for none);
//             u32 CRC-32 of the 52 bytes before it; zeros
//   images    as their source has them, or three bytes a pixel; an image that is larger than a page
//             starts at a page, a smaller one lies within one
//   index     at a page: class names (u32 length, bytes), an entry per sample (training first),
//             then their names (u32 length, bytes)
#ifndef VIT_CORE_DATA_SOURCES_PACK_FORMAT_H_
#define VIT_CORE_DATA_SOURCES_PACK_FORMAT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace vit {

inline constexpr int64_t kPackPageBytes = 4096;

struct PackHeader {
  uint64_t index_offset = 0;
  uint64_t index_bytes = 0;
  uint32_t index_crc = 0;
  uint32_t classes = 0;
  uint64_t train_samples = 0;
  uint64_t validation_samples = 0;
  uint32_t native_size = 0;

  std::string Serialize() const;  // kPackPageBytes
  // None if `page` has another magic number, or a wrong checksum.
  static std::optional<PackHeader> Parse(absl::string_view page);
};

// 32 bytes in the file.
struct PackEntry {
  static constexpr size_t kBytes = 32;

  uint64_t offset = 0;
  uint32_t size = 0;  // 0: the image could not be read for packing
  uint32_t crc = 0;   // CRC-32 of the bytes
  uint32_t label = 0;
  uint16_t width = 0;  // of bare pixels; 0 for an encoded image
  uint16_t height = 0;
  uint64_t name_offset = 0;  // from the first name

  void AppendTo(std::string* out) const;
  // `bytes`: kBytes of them.
  static PackEntry Parse(absl::string_view bytes);
};

// Returns the place of an image of `size` bytes that may start at `offset` or later.
uint64_t PackOffset(uint64_t offset, uint64_t size);

// CRC-32 of ISO 3309, zlib's.
uint32_t PackCrc(absl::string_view bytes);

void AppendU32(uint32_t value, std::string* out);
void AppendU64(uint64_t value, std::string* out);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_PACK_FORMAT_H_
