// Messages as JSON in files, with the field names of the protos.
#ifndef VIT_PROTO_MESSAGE_JSON_H_
#define VIT_PROTO_MESSAGE_JSON_H_

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/status.h"

namespace vit {

// `indented`: over several lines.
std::string MessageToJson(const google::protobuf::Message& message, bool indented);

// Ignores fields that this version does not know, so that files of other versions load.
// INVALID_ARGUMENT, with protobuf's reason alone, for any other error.
absl::Status MessageFromJson(const std::string& text, google::protobuf::Message* message);

}  // namespace vit

#endif  // VIT_PROTO_MESSAGE_JSON_H_
