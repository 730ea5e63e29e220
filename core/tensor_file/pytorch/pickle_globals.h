// The Python names that a pickle of weights may mention, and what each stands for here.
#ifndef VIT_CORE_TENSOR_FILE_PYTORCH_PICKLE_GLOBALS_H_
#define VIT_CORE_TENSOR_FILE_PYTORCH_PICKLE_GLOBALS_H_

#include <c10/core/ScalarType.h>

#include "absl/strings/string_view.h"

namespace vit {

struct PickleGlobal {
  enum class Role {
    kDict,         // called without arguments: an empty dict
    kTensor,       // called: a tensor, from (storage, offset, size, stride, ...)
    kTypedTensor,  // called: the same, with the dtype as seventh argument
    kParameter,    // called: its first argument, a tensor
    kSize,         // called: its first argument, a tuple
    kStorage,      // a kind of storage, never called
    kDtype,        // a dtype, never called
    kOpaque,       // called or not: a value that is not a weight
  };
  absl::string_view module, name;
  Role role;
  // Of kStorage and kDtype; Undefined if tensors of it are not supported.
  at::ScalarType type = at::ScalarType::Undefined;
};

// Returns null for a name that is not in the table. Never imports or runs anything.
const PickleGlobal* FindPickleGlobal(absl::string_view module, absl::string_view name);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_PYTORCH_PICKLE_GLOBALS_H_
