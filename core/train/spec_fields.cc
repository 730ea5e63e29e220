#include "core/train/spec_fields.h"

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/spec_text.h"

namespace vit {
namespace {

using ::google::protobuf::EnumDescriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

bool IsSet(const Message& message, const FieldDescriptor* field) {
  return field->is_repeated() ? message.GetReflection()->FieldSize(message, field) > 0
                              : message.GetReflection()->HasField(message, field);
}

}  // namespace

absl::Status BadField(absl::string_view field, double value, absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat(field, " is ", value, "; expected ", expected));
}

void ClearFieldsOfOtherTypes(absl::Span<const FieldOfTypes> fields, int type, Message* message) {
  for (const FieldOfTypes& field : fields) {
    if ((field.types & TypeBit(type)) != 0) continue;
    message->GetReflection()->ClearField(message,
                                         message->GetDescriptor()->FindFieldByName(field.name));
  }
}

absl::Status CheckFieldsOfTypes(absl::Span<const FieldOfTypes> fields, const Message& message,
                                absl::string_view path) {
  const FieldDescriptor* type_field = message.GetDescriptor()->FindFieldByName("type");
  const EnumDescriptor* types = type_field->enum_type();
  const auto* type = message.GetReflection()->GetEnum(message, type_field);
  for (const FieldOfTypes& field : fields) {
    if ((field.types & TypeBit(type->number())) != 0 ||
        !IsSet(message, message.GetDescriptor()->FindFieldByName(field.name))) {
      continue;
    }
    std::vector<std::string> owners;
    for (int i = 0; i < types->value_count(); ++i) {
      if ((field.types & TypeBit(types->value(i)->number())) != 0) {
        owners.push_back(ShortEnumName(types->value(i)));
      }
    }
    return absl::InvalidArgumentError(
        absl::StrCat(path, ".", field.name, " belongs to ", absl::StrJoin(owners, ", "), "; ", path,
                     ".type is ", ShortEnumName(type), ": leave it out, or set ", path, ".type"));
  }
  return absl::OkStatus();
}

}  // namespace vit
