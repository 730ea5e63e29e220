// Google's names and shapes (Flax): kernels are [in, out], convolutions [height, width, in, out],
// attention kernels [D, H, D / H] and [H, D / H, D].
#ifndef VIT_CORE_WEIGHTS_LAYOUTS_GOOGLE_LAYOUT_H_
#define VIT_CORE_WEIGHTS_LAYOUTS_GOOGLE_LAYOUT_H_

#include "absl/status/statusor.h"
#include "core/base/compute/named_tensors.h"
#include "core/weights/layouts/weight_layout.h"

namespace vit {

// As ToTimmLayout, but with query, key and value separate.
absl::StatusOr<TimmWeights> FromGoogleLayout(const TensorMap& tensors);
bool IsGoogleLayout(const TensorMap& tensors);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_LAYOUTS_GOOGLE_LAYOUT_H_
