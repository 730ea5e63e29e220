// The text forms of the configuration messages: files that people write, --set paths, and merging
// by presence.
#ifndef VIT_PROTO_SPEC_TEXT_H_
#define VIT_PROTO_SPEC_TEXT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace vit {

// Reads `text`, in protobuf text format, or in JSON where its first character is '{', over
// `message` (set fields win). INVALID_ARGUMENT with line and column; an unknown field names the
// nearest known one.
absl::Status ParseMessageText(absl::string_view text, google::protobuf::Message* message);

// Reads a message that the program itself stored: as above, but unknown fields are ignored, so that
// older and newer versions' files load.
absl::Status ParseStoredMessageText(absl::string_view text, google::protobuf::Message* message);

// `message` in protobuf text format, one field a line.
std::string MessageToText(const google::protobuf::Message& message);

// Applies "path.to.field=value". Enumerations take their full name or its end in any case
// ("adamw"), booleans true, false, 1, 0, lists comma-separated values, lists of messages their text
// format in braces ("optimizer.groups={parameters: 'head.*'},{...}"). INVALID_ARGUMENT names the
// nearest field for a wrong path, and what was expected for a wrong value.
absl::Status SetField(absl::string_view assignment, google::protobuf::Message* message);

// Merges `from` over `into`: set fields win, messages merge field by field, repeated fields replace
// where `from` has any.
void MergeByPresence(const google::protobuf::Message& from, google::protobuf::Message* into);

// INVALID_ARGUMENT, naming the field and its values, where a set enumeration of `message`, at any
// depth, is unspecified or of a number that is not known. `path` leads to `message`: "data.", or
// "".
absl::Status CheckEnums(const google::protobuf::Message& message, absl::string_view path = "");

// The candidate nearest to `name` by edit distance, or "" where none is near.
std::string NearestName(absl::string_view name, const std::vector<std::string>& candidates);

// "adamw" for OPTIMIZER_TYPE_ADAMW: a value's name without its enumeration's prefix, in lower case.
std::string ShortEnumName(const google::protobuf::EnumValueDescriptor* value);

}  // namespace vit

#endif  // VIT_PROTO_SPEC_TEXT_H_
