#include "core/tensor_file/tensor_bytes.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"

namespace vit {

std::string Quoted(absl::string_view text) {
  constexpr size_t kShown = 100;
  return absl::StrCat("'", absl::CHexEscape(text.substr(0, kShown)),
                      text.size() > kShown ? "..." : "", "'");
}

std::string ShapeText(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

std::optional<uint64_t> ByteSize(absl::Span<const int64_t> shape, uint64_t item_bytes) {
  uint64_t bytes = item_bytes;
  bool empty = false;
  for (const int64_t size : shape) {
    empty = empty || size == 0;
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(std::max<int64_t>(size, 1)), &bytes) ||
        bytes > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return std::nullopt;
    }
  }
  return empty ? 0 : bytes;
}

SharedBytes Aligned(SharedBytes bytes, size_t alignment) {
  if (reinterpret_cast<uintptr_t>(bytes.view.data()) % alignment == 0) return bytes;
  const auto copy =
      std::make_shared<at::Tensor>(at::empty({static_cast<int64_t>(bytes.view.size())}, at::kByte));
  char* const data = static_cast<char*>(copy->mutable_data_ptr());
  if (!bytes.view.empty()) std::memcpy(data, bytes.view.data(), bytes.view.size());
  return {absl::string_view(data, bytes.view.size()), copy};
}

absl::Status CheckBools(absl::string_view values) {
  const bool good = std::all_of(values.begin(), values.end(),
                                [](char value) { return value == 0 || value == 1; });
  return good ? absl::OkStatus() : absl::InvalidArgumentError("a bool is neither 0 nor 1");
}

absl::StatusOr<SharedBytes> UsableBytes(SharedBytes bytes, at::ScalarType type) {
  if (type == at::kBool) VIT_RETURN_IF_ERROR(CheckBools(bytes.view));
  return Aligned(std::move(bytes), c10::elementSize(type));
}

at::Tensor ViewOf(const SharedBytes& bytes, at::IntArrayRef shape, at::ScalarType type) {
  return at::from_blob(
      const_cast<char*>(bytes.view.data()), shape, [owner = bytes.owner](void*) {},
      at::TensorOptions().dtype(type));
}

at::Tensor ViewOf(const SharedBytes& bytes, at::IntArrayRef shape, at::IntArrayRef strides,
                  at::ScalarType type) {
  return at::from_blob(
      const_cast<char*>(bytes.view.data()), shape, strides, [owner = bytes.owner](void*) {},
      at::TensorOptions().dtype(type));
}

}  // namespace vit
