// What the schema says of a field of a configuration message: its rule and its comment.
#ifndef VIT_PROTO_SCHEMA_H_
#define VIT_PROTO_SCHEMA_H_

#include <google/protobuf/descriptor.h>

#include <string>

#include "vit/v1/rule.pb.h"

namespace vit {

// The rule of `field`; an empty one if the schema gives none.
const vit::v1::FieldRule& RuleOf(const google::protobuf::FieldDescriptor* field);

// What a rule allows, in words: "at least 0, below 1"; "" for any number.
std::string DescribeRange(const vit::v1::FieldRule& rule);

// The comment above a field or a value of a file under proto/vit/v1, in one line; "" if there is
// none.
std::string CommentOf(const google::protobuf::FieldDescriptor* field);
std::string CommentOf(const google::protobuf::EnumValueDescriptor* value);

// A number as a person writes it: 1048576 rather than 1.04858e+06.
std::string NumberText(double value);

}  // namespace vit

#endif  // VIT_PROTO_SCHEMA_H_
