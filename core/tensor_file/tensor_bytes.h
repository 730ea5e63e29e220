// What the readers of weight files share: from checked bytes to tensors. Only for the rooms that
// compute.
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

// A name or word out of a file, as messages show it: in quotes, escaped, cut after 100 bytes.
std::string Quoted(absl::string_view text);

// [2, 3]
std::string ShapeText(absl::Span<const int64_t> shape);

// What a tensor of `shape` (no dimension negative) takes. Nothing where that, or a partial product
// beside an empty dimension, is beyond 2^63.
std::optional<uint64_t> ByteSize(absl::Span<const int64_t> shape, uint64_t item_bytes);

// `bytes` as they are where they lie at a multiple of `alignment` (at most 64), else a copy.
SharedBytes Aligned(SharedBytes bytes, size_t alignment);

// INVALID_ARGUMENT where one is neither 0 nor 1: no program may load that as a bool.
absl::Status CheckBools(absl::string_view values);

// Both, as values of `type` need it.
absl::StatusOr<SharedBytes> UsableBytes(SharedBytes bytes, at::ScalarType type);

// A view, contiguous, of usable bytes: exactly ByteSize of them.
at::Tensor ViewOf(const SharedBytes& bytes, at::IntArrayRef shape, at::ScalarType type);

// As above with strides (in values, none negative); the last value must lie inside.
at::Tensor ViewOf(const SharedBytes& bytes, at::IntArrayRef shape, at::IntArrayRef strides,
                  at::ScalarType type);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_TENSOR_BYTES_H_
