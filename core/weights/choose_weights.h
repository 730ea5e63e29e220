// Chooses the tensors of the requested model among those of a file.
#ifndef VIT_CORE_WEIGHTS_CHOOSE_WEIGHTS_H_
#define VIT_CORE_WEIGHTS_CHOOSE_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/compute/named_tensors.h"
#include "core/tensor_file/tensor_file.h"
#include "vit/v1/model.pb.h"

namespace vit {

// As ImportModelRequest has them.
struct WeightChoice {
  // Up to and including its last dot. Empty: the only one there is. ".": no prefix.
  std::string prefix;
  // Unspecified: the averaged ones, if there are any.
  vit::v1::WeightsChoice weights = vit::v1::WEIGHTS_CHOICE_UNSPECIFIED;
};

struct ChosenWeights {
  TensorMap tensors;  // without the prefix, including a head from above it
  // What was used, for repeating the request. Dicts under which all scripts keep weights
  // ("state_dict", "model", ...) are not part of the prefix.
  std::string prefix;
  // Unspecified if the file does not distinguish averaged weights from others.
  vit::v1::WeightsChoice weights = vit::v1::WEIGHTS_CHOICE_UNSPECIFIED;
  std::vector<std::string> notes;  // for people: what was used, what else is there
};

// Finds models by the weights of their patch projection, under any of the names that ToTimmLayout
// knows; a model's prefix is what precedes that name: "module.", "state_dict.model.backbone.". Its
// head may be above it. Averaged weights are those under a name such as "state_dict_ema", those of
// torch's AveragedModel, and those that Lightning's WeightAveraging puts in place of the others. If
// there is no model at all and no prefix is given, returns all tensors, for ToTimmLayout to report.
// INVALID_ARGUMENT if several models are left, listing their prefixes, or if the file does not have
// what `asked` says.
absl::StatusOr<ChosenWeights> ChooseWeights(const TensorFile& file, const WeightChoice& asked);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_CHOOSE_WEIGHTS_H_
