// Names of fields and of values: short forms, and the nearest to a misspelt one.
#ifndef VIT_PROTO_FIELD_NAMES_H_
#define VIT_PROTO_FIELD_NAMES_H_

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace vit {

// The candidate nearest to `name` by edit distance, or "" if none is near.
std::string NearestName(absl::string_view name, const std::vector<std::string>& candidates);

// "adamw" for OPTIMIZER_TYPE_ADAMW: a value's name without its enumeration's prefix, in lower case.
std::string ShortEnumName(const google::protobuf::EnumValueDescriptor* value);

// The short names of all values of `type`, but the unspecified one: "adamw, sgd".
std::string ValueNames(const google::protobuf::EnumDescriptor* type);

// The names of the fields of `type`.
std::vector<std::string> FieldNames(const google::protobuf::Descriptor* type);

// Every field below `type` by its path.
std::vector<std::string> FieldPaths(const google::protobuf::Descriptor* type);

// Returns what `name`, which is no field of `type`, may stand for, as paths below `type`: its own
// fields that begin with it ("warmup" for warmup_steps), have these initials ("lr" for
// learning_rate) or are nearest to it; else fields further down. Empty if nothing fits.
std::vector<std::string> FieldsMeant(const google::protobuf::Descriptor* type,
                                     absl::string_view name);

// Returns "; did you mean 'a' or 'b'?" for the names, of which there is at least one.
std::string DidYouMean(const std::vector<std::string>& names);

// Returns a hint for when `type` has no field `name`: "; did you mean 'depth'?", or the fields that
// it has.
std::string SuggestField(const google::protobuf::Descriptor* type, absl::string_view name);

}  // namespace vit

#endif  // VIT_PROTO_FIELD_NAMES_H_
