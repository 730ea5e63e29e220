// The rules of the schema (proto/vit/v1/rule.proto): defaults and checks of configuration messages,
// read from the options of their fields.
#ifndef VIT_CORE_SPEC_RULES_H_
#define VIT_CORE_SPEC_RULES_H_

#include <google/protobuf/message.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace vit {

// Sets every unset field of `message`, at any depth, whose default applies: it is for the message's
// `type`, the field that it needs is set, and no other field of its choice is set. Derived defaults
// stay unset (see defaults.h).
void FillRuleDefaults(google::protobuf::Message* message);

// Checks a message whose defaults are filled in: ranges, only_for, needs and choices.
// INVALID_ARGUMENT names the field with its path, the value and what was expected:
// "optimizer.beta1 is 2; expected at least 0, below 1". `path` leads to `message`: "optimizer.", or
// "".
absl::Status CheckRules(const google::protobuf::Message& message, absl::string_view path = "");

// The part of CheckRules that applies to what a person wrote, before defaults are filled in: at
// most one field of each choice is set.
absl::Status CheckChoices(const google::protobuf::Message& message, absl::string_view path = "");

// Removes from `base` what `over`, about to be merged over it, replaces: the other fields of a
// choice, and the fields that do not apply to another `type`.
void ClearReplaced(const google::protobuf::Message& over, google::protobuf::Message* base);

}  // namespace vit

#endif  // VIT_CORE_SPEC_RULES_H_
