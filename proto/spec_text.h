// The text form of the configuration messages, as people write them in files, and merging by
// presence.
#ifndef VIT_PROTO_SPEC_TEXT_H_
#define VIT_PROTO_SPEC_TEXT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace vit {

// Reads `text`, in protobuf text format, or in JSON if its first character is '{', into `message`
// (its set fields win). INVALID_ARGUMENT with line and column; an unknown field names the nearest
// known one.
absl::Status ParseMessageText(absl::string_view text, google::protobuf::Message* message);

// Reads a message that the program itself stored: as above, but unknown fields are ignored, so that
// older and newer versions' files load.
absl::Status ParseStoredMessageText(absl::string_view text, google::protobuf::Message* message);

// Returns `message` in protobuf text format, one field per line.
std::string MessageToText(const google::protobuf::Message& message);

// Merges `from` over `into`: set fields win, messages merge field by field, repeated fields replace
// if `from` has any.
void MergeByPresence(const google::protobuf::Message& from, google::protobuf::Message* into);

// INVALID_ARGUMENT, naming the field and its values, if a set enumeration of `message`, at any
// depth, is unspecified or has an unknown number. `path` leads to `message`: "data.", or "".
absl::Status CheckEnums(const google::protobuf::Message& message, absl::string_view path = "");

}  // namespace vit

#endif  // VIT_PROTO_SPEC_TEXT_H_
