// Images side by side in one tensor.
#ifndef VIT_CORE_MODEL_FROZEN_IMAGE_BATCH_H_
#define VIT_CORE_MODEL_FROZEN_IMAGE_BATCH_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "absl/types/span.h"
#include "core/model/frozen/frozen_transformer.h"

namespace vit {

// Returns [count, 3, S, S] on the host, pinned unless `device` is the CPU: bytes, or float32 if an
// image has values.
at::Tensor HostBatch(absl::Span<const FrozenTransformer::Image> images, int64_t image_size,
                     c10::Device device);

}  // namespace vit

#endif  // VIT_CORE_MODEL_FROZEN_IMAGE_BATCH_H_
