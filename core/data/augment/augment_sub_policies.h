// AutoAugment's policies as data.
#ifndef VIT_CORE_DATA_AUGMENT_AUGMENT_SUB_POLICIES_H_
#define VIT_CORE_DATA_AUGMENT_AUGMENT_SUB_POLICIES_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "core/data/augment/augment_operations.h"

namespace vit::augment {

struct PolicyStep {
  const LeveledOperation* operation = nullptr;
  double probability = 1;
  double magnitude = 0;  // `Policy::levels` is level 1
};

// AutoAugment's policies, by timm's names ("v0", "v0r", "original", "originalr", "3a") and
// torchvision's ("imagenet", "cifar10", "svhn"); empty for an unknown name.
std::vector<std::vector<PolicyStep>> TimmSubPolicies(absl::string_view name);
std::vector<std::vector<PolicyStep>> TorchvisionSubPolicies(absl::string_view name);

}  // namespace vit::augment

#endif  // VIT_CORE_DATA_AUGMENT_AUGMENT_SUB_POLICIES_H_
