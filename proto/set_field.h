// Assignments to fields, as --set takes them.
#ifndef VIT_PROTO_SET_FIELD_H_
#define VIT_PROTO_SET_FIELD_H_

#include <google/protobuf/message.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace vit {

// Applies "path.to.field=value". Enumerations take their full name or its end in any case
// ("adamw"), booleans true, false, 1, 0, lists comma-separated values, lists of messages their text
// format in braces ("optimizer.groups={parameters: 'head.*'},{...}"). INVALID_ARGUMENT names the
// nearest field for a wrong path, and what was expected for a wrong value.
absl::Status SetField(absl::string_view assignment, google::protobuf::Message* message);

}  // namespace vit

#endif  // VIT_PROTO_SET_FIELD_H_
