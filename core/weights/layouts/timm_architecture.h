// What timm's architecture names say about a model that its weights do not.
#ifndef VIT_CORE_WEIGHTS_LAYOUTS_TIMM_ARCHITECTURE_H_
#define VIT_CORE_WEIGHTS_LAYOUTS_TIMM_ARCHITECTURE_H_

#include <string>

#include "absl/status/status.h"
#include "vit/v1/model.pb.h"

namespace vit {

// Sets in `model` what timm 1.0.31 builds under `architecture` (without a tag after a dot): the
// model of a preset of that name, and for other names of timm's VisionTransformer the activation
// and the norms' epsilon if they are unusual. INVALID_ARGUMENT for an architecture of another
// formula, saying what it has. A name that timm does not have sets nothing.
absl::Status SetTimmArchitecture(const std::string& architecture, vit::v1::ModelConfig* model);

// Convert timm's name of an activation ("gelu", "gelu_tanh", "quick_gelu"), and back.
// INVALID_ARGUMENT for any other name.
absl::Status SetTimmActivation(const std::string& name, vit::v1::ModelConfig* model);
std::string TimmActivationName(vit::v1::Activation activation);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_LAYOUTS_TIMM_ARCHITECTURE_H_
