// Shared by the readers of weight files: turns checked bytes into tensors.
#ifndef VIT_CORE_TENSOR_FILE_TENSOR_BYTES_H_
#define VIT_CORE_TENSOR_FILE_TENSOR_BYTES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/mapped_file.h"

namespace vit {

// No weight has more; LibTorch's own limit is 64.
inline constexpr size_t kMaxDimensions = 16;

// Formats a name or word from a file for a message: in quotes, escaped, cut after 100 bytes.
std::string Quoted(absl::string_view text);

// [2, 3]
std::string ShapeText(absl::Span<const int64_t> shape);

// Returns the bytes that a tensor of `shape` (no dimension negative) takes; nothing if that, or a
// partial product beside an empty dimension, is beyond 2^63.
std::optional<uint64_t> ByteSize(absl::Span<const int64_t> shape, uint64_t item_bytes);

// Returns `bytes` as they are if they begin at a multiple of `alignment` (at most 64), else a copy.
SharedBytes Aligned(SharedBytes bytes, size_t alignment);

// INVALID_ARGUMENT if a value is neither 0 nor 1: no program may load that as a bool.
absl::Status CheckBools(absl::string_view values);

// Does both, as values of `type` need it.
absl::StatusOr<SharedBytes> UsableBytes(SharedBytes bytes, at::ScalarType type);

// Returns a contiguous view of usable bytes: exactly ByteSize of them.
at::Tensor ViewOf(const SharedBytes& bytes, at::IntArrayRef shape, at::ScalarType type);

// As above with strides (in values, none negative); the last value must lie inside.
at::Tensor ViewOf(const SharedBytes& bytes, at::IntArrayRef shape, at::IntArrayRef strides,
                  at::ScalarType type);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_TENSOR_BYTES_H_
