// Checks what a device answers with.
#ifndef VIT_SCRIPTS_SERVED_LOGITS_H_
#define VIT_SCRIPTS_SERVED_LOGITS_H_

#include <string>

#include "core/base/compute/device.h"

namespace vit {

// Returns the largest relative error of the logits that a frozen model computes on the device, for
// batches of several sizes, each computed three times, against the model on the CPU in float32.
// `changes`: as CheckedModel's.
double ServedLogits(const std::string& changes, const Device& device, bool bfloat16);

}  // namespace vit

#endif  // VIT_SCRIPTS_SERVED_LOGITS_H_
