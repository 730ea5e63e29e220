// Reads numbers from untrusted bytes, never past the end.
#ifndef VIT_CORE_BASE_BOUNDED_READER_H_
#define VIT_CORE_BASE_BOUNDED_READER_H_

#include <cstdint>
#include <type_traits>

#include "absl/strings/string_view.h"

namespace vit {

// A cursor over untrusted bytes. A read past the end yields 0 or an empty view and makes ok() false
// for good, so that a parser can check once after several reads.
class BoundedReader {
 public:
  explicit BoundedReader(absl::string_view data) : data_(data) {}

  bool ok() const { return ok_; }
  size_t position() const { return position_; }
  size_t remaining() const { return data_.size() - position_; }

  absl::string_view Bytes(size_t count) {
    if (!ok_ || count > remaining()) {
      ok_ = false;
      return {};
    }
    const absl::string_view bytes = data_.substr(position_, count);
    position_ += count;
    return bytes;
  }
  void Skip(size_t count) { Bytes(count); }
  void Seek(size_t position) {
    if (position > data_.size()) {
      ok_ = false;
    } else {
      position_ = position;
    }
  }

  uint8_t U8() { return static_cast<uint8_t>(Integer<uint8_t, false>()); }
  uint16_t U16Le() { return Integer<uint16_t, false>(); }
  uint16_t U16Be() { return Integer<uint16_t, true>(); }
  uint32_t U24Le() {
    const absl::string_view b = Bytes(3);
    return b.empty() ? 0 : Byte(b, 0) | Byte(b, 1) << 8 | Byte(b, 2) << 16;
  }
  uint32_t U32Le() { return Integer<uint32_t, false>(); }
  uint32_t U32Be() { return Integer<uint32_t, true>(); }
  uint64_t U64Le() { return Integer<uint64_t, false>(); }

 private:
  static uint32_t Byte(absl::string_view b, int i) { return static_cast<uint8_t>(b[i]); }

  template <typename T, bool kBigEndian>
  T Integer() {
    const absl::string_view b = Bytes(sizeof(T));
    uint64_t value = 0;
    for (size_t i = 0; i < b.size(); ++i) {
      value |= uint64_t{Byte(b, i)} << 8 * (kBigEndian ? b.size() - 1 - i : i);
    }
    return static_cast<T>(value);
  }

  absl::string_view data_;
  size_t position_ = 0;
  bool ok_ = true;
};

}  // namespace vit

#endif  // VIT_CORE_BASE_BOUNDED_READER_H_
