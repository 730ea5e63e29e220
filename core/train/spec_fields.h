// What the validators of TrainingSpec's parts share.
#ifndef VIT_CORE_TRAIN_SPEC_FIELDS_H_
#define VIT_CORE_TRAIN_SPEC_FIELDS_H_

#include <cstdint>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "google/protobuf/message.h"

namespace vit {

// Sets a field to its default where it is not `set`.
template <typename M, typename V>
void Fill(bool set, M* message, void (M::*setter)(V), std::type_identity_t<V> value) {
  if (!set) (message->*setter)(value);
}

// INVALID_ARGUMENT: "schedule.power is -1; expected a number above 0".
absl::Status BadField(absl::string_view field, double value, absl::string_view expected);

// A field that only some values of its message's field "type" have a use for.
struct FieldOfTypes {
  const char* name;
  uint32_t types;  // bit i: enumeration value i
};
constexpr uint32_t TypeBit(int type) { return 1u << type; }

// Clears those of `fields` that `type` has no use for.
void ClearFieldsOfOtherTypes(absl::Span<const FieldOfTypes> fields, int type,
                             google::protobuf::Message* message);

// INVALID_ARGUMENT where one of `fields` is set that the message's type has no use for:
// "schedule.power belongs to polynomial; schedule.type is cosine". `path` leads to the message:
// "schedule".
absl::Status CheckFieldsOfTypes(absl::Span<const FieldOfTypes> fields,
                                const google::protobuf::Message& message, absl::string_view path);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_SPEC_FIELDS_H_
