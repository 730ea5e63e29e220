// Pickles as torch.save writes them (protocols 2 to 5), read without running anything.
#ifndef VIT_CORE_TENSOR_FILE_PYTORCH_PICKLE_H_
#define VIT_CORE_TENSOR_FILE_PYTORCH_PICKLE_H_

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <deque>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/tensor_file/pytorch/pickle_globals.h"

namespace vit {

// Part of a file, by its key: the values of one or more tensors.
struct PickleStorage {
  absl::string_view key;
  const PickleGlobal* kind;
  int64_t size;  // in values of the kind's type
};

// A view of a storage. No size, stride or offset is negative; nothing is checked against the
// storage.
struct PickleTensor {
  const PickleStorage* storage;
  const PickleGlobal* type;             // of its values: a storage's kind or a dtype
  int64_t offset;                       // in values
  std::vector<int64_t> sizes, strides;  // equally many of both
};

struct PickleValue {
  enum class Kind {
    kOpaque,  // a value that weights do not need: None, a float, a Namespace, ...
    kInt,
    kText,
    kTuple,
    kList,
    kDict,
    kGlobal,
    kStorage,
    kTensor,
  };
  Kind kind = Kind::kOpaque;
  int64_t integer = 0;
  absl::string_view text;                 // in the pickle's bytes
  std::vector<const PickleValue*> items;  // of a dict: key, value, key, value...
  const PickleGlobal* global = nullptr;
  const PickleStorage* storage = nullptr;
  const PickleTensor* tensor = nullptr;
};
// Returns "a tuple", for messages.
inline absl::string_view PickleKindName(PickleValue::Kind kind) {
  constexpr absl::string_view kNames[] = {"an opaque value", "a number",  "a string",
                                          "a tuple",         "a list",    "a dict",
                                          "a global",        "a storage", "a tensor"};
  return kNames[static_cast<size_t>(kind)];
}

// What a pickle describes. A pickle is a program for a stack machine; only opcodes that build plain
// values and only the globals of FindPickleGlobal are accepted, and what Python would call is
// recognised, never called. A value may hold itself, or the same value a thousand times: bound
// every walk over values. Memory is a small multiple of the pickle's size and also has a fixed
// bound. The bytes must outlive it.
class Pickle {
 public:
  // INVALID_ARGUMENT names the opcode, its byte and, for an unknown global, its name;
  // RESOURCE_EXHAUSTED for more values than a state dict could need.
  static absl::StatusOr<Pickle> Read(absl::string_view bytes);

  const PickleValue& top() const { return *top_; }

 private:
  friend class PickleReader;
  Pickle() = default;

  const PickleValue* top_ = nullptr;
  // Deques, because their elements do not move.
  std::deque<PickleValue> values_;
  std::deque<PickleStorage> storages_;
  std::deque<PickleTensor> tensors_;
};

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_PYTORCH_PICKLE_H_
