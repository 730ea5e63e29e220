// The state dict among the things that training scripts save with it.
#ifndef VIT_CORE_WEIGHTS_STATE_DICT_H_
#define VIT_CORE_WEIGHTS_STATE_DICT_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "core/weights/pickle.h"

namespace vit {

struct StateDict {
  std::string key;                                     // "model.state_dict"; empty: the top itself
  std::map<std::string, const PickleTensor*> tensors;  // names without the prefix that all share
};

// See ParsePytorch. INVALID_ARGUMENT, naming the keys that are there, where none is found.
absl::StatusOr<StateDict> FindStateDict(const PickleValue& top);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_STATE_DICT_H_
