// Which of a file's tensors are the model that is asked for. Only for the rooms that compute.
#ifndef VIT_CORE_WEIGHTS_CHOOSE_WEIGHTS_H_
#define VIT_CORE_WEIGHTS_CHOOSE_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/tensor_file/tensor_file.h"
#include "vit/v1/model.pb.h"

namespace vit {

// As ImportModelRequest has them.
struct WeightChoice {
  // Up to and with its last dot. Empty: the only one there is. ".": no prefix.
  std::string prefix;
  // Unspecified: the averaged ones where there are any.
  vit::v1::WeightsChoice weights = vit::v1::WEIGHTS_CHOICE_UNSPECIFIED;
};

struct ChosenWeights {
  std::map<std::string, at::Tensor> tensors;  // without the prefix, a head from above it included
  // What was taken, to be asked for again. Dicts that every script keeps weights under
  // ("state_dict", "model", ...) are no part of the prefix.
  std::string prefix;
  // Unspecified where the file does not tell averaged weights from others.
  vit::v1::WeightsChoice weights = vit::v1::WEIGHTS_CHOICE_UNSPECIFIED;
  std::vector<std::string> notes;  // for people: what was taken, what stands beside it
};

// A model is where the weights of a patch projection are, under any of the names that ToTimmLayout
// knows, and its prefix is what stands before them: "module.", "state_dict.model.backbone.". A head
// may stand above it. Averaged weights are those under a name such as "state_dict_ema", those of
// torch's AveragedModel, and those that Lightning's WeightAveraging puts in place of the others.
// Where there is no model at all, all of the file under the prefix comes back, for ToTimmLayout to
// name. INVALID_ARGUMENT where several models are left, listing their prefixes, and where the file
// has not what `asked` says.
absl::StatusOr<ChosenWeights> ChooseWeights(const TensorFile& file, const WeightChoice& asked);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_CHOOSE_WEIGHTS_H_
