// Checks what a device answers with.
#ifndef VIT_SCRIPTS_SERVED_OUTPUTS_H_
#define VIT_SCRIPTS_SERVED_OUTPUTS_H_

#include <string>

#include "core/base/compute/device.h"

namespace vit {

// Returns the largest relative error of what a frozen model computes on the device, for all outputs
// and both forms of images and batches of several sizes, recorded and not, against the model on the
// CPU in float32. `changes`: as CheckedModel's.
double ServedOutputs(const std::string& changes, const Device& device, bool bfloat16);

}  // namespace vit

#endif  // VIT_SCRIPTS_SERVED_OUTPUTS_H_
