// Finds the tensors among everything that training scripts save.
#ifndef VIT_CORE_TENSOR_FILE_PYTORCH_STATE_DICT_H_
#define VIT_CORE_TENSOR_FILE_PYTORCH_STATE_DICT_H_

#include <map>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "core/tensor_file/pytorch/pickle.h"

namespace vit {

struct StateDicts {
  // By name, prefixed with the keys of the dicts around them: "state_dict.head.bias".
  std::map<std::string, const PickleTensor*> tensors;
  std::set<std::string> sections;  // TensorFile::sections
};

// Finds every tensor that `top` reaches through dicts with string keys, with at most two dicts
// around the innermost one. INVALID_ARGUMENT if there is none, naming the keys that are there, and
// for names that are not text or occur twice; RESOURCE_EXHAUSTED if dicts repeat too often.
absl::StatusOr<StateDicts> FindStateDicts(const PickleValue& top);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_PYTORCH_STATE_DICT_H_
