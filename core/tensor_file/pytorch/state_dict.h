// The tensors among the things that training scripts save with them.
#ifndef VIT_CORE_TENSOR_FILE_PYTORCH_STATE_DICT_H_
#define VIT_CORE_TENSOR_FILE_PYTORCH_STATE_DICT_H_

#include <map>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "core/tensor_file/pytorch/pickle.h"

namespace vit {

struct StateDicts {
  // Under their names, the keys of the dicts around them in front: "state_dict.head.bias".
  std::map<std::string, const PickleTensor*> tensors;
  std::set<std::string> sections;  // TensorFile::sections
};

// Every tensor that `top` reaches through dicts whose keys are texts, at most two of them around
// the innermost one. INVALID_ARGUMENT, naming the keys that are there, where there is none, and for
// names that are no text or are met twice; RESOURCE_EXHAUSTED where dicts repeat without measure.
absl::StatusOr<StateDicts> FindStateDicts(const PickleValue& top);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_PYTORCH_STATE_DICT_H_
