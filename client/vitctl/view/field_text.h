// The fields of a training spec in words, from the schema.
#ifndef VIT_CLIENT_VITCTL_VIEW_FIELD_TEXT_H_
#define VIT_CLIENT_VITCTL_VIEW_FIELD_TEXT_H_

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

// A field with its path from the spec: "optimizer.beta1".
struct SpecField {
  std::string path;
  const google::protobuf::FieldDescriptor* descriptor = nullptr;
};

// Returns the field at `path`. INVALID_ARGUMENT names the nearest field.
absl::StatusOr<SpecField> FindSpecField(absl::string_view path);

// Returns the fields of the message that `parent` holds, or of the spec itself if it is empty;
// nothing for a field that holds a value.
std::vector<SpecField> FieldsIn(const SpecField& parent);

// "whole number", "one of", "list of numbers", "group of fields".
std::string TypeText(const SpecField& field);
// The value of an unset field, or how it is derived; "" if there is none.
std::string DefaultText(const SpecField& field);
// The values that the field takes, its unit, and the other fields it needs; "" if there is no
// limit.
std::string LimitsText(const SpecField& field);
// The first sentence of the field's comment.
std::string SummaryText(const SpecField& field);

// docs/fields.md: every field of a spec.
std::string FieldsMarkdown();

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_VIEW_FIELD_TEXT_H_
