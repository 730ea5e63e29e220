// What the validators of TrainingSpec's parts share.
#ifndef VIT_CORE_TRAIN_SPEC_FIELDS_H_
#define VIT_CORE_TRAIN_SPEC_FIELDS_H_

#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace vit {

// Sets a field to its default where it is not `set`.
template <typename M, typename V>
void Fill(bool set, M* message, void (M::*setter)(V), std::type_identity_t<V> value) {
  if (!set) (message->*setter)(value);
}

// INVALID_ARGUMENT: "schedule.power is -1; expected a number above 0".
inline absl::Status BadField(absl::string_view field, double value, absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat(field, " is ", value, "; expected ", expected));
}

}  // namespace vit

#endif  // VIT_CORE_TRAIN_SPEC_FIELDS_H_
