#include "proto/set_field.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/reflection.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "proto/field_names.h"
#include "proto/spec_text.h"

namespace vit {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::EnumDescriptor;
using ::google::protobuf::EnumValueDescriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;

absl::Status WrongValue(absl::string_view path, absl::string_view value,
                        absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": '", value, "' is not ", expected));
}

absl::Status SetInteger(const FieldDescriptor* field, absl::string_view path,
                        absl::string_view value, Message* message) {
  const Reflection* reflection = message->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      int32_t v;
      if (!absl::SimpleAtoi(value, &v)) return WrongValue(path, value, "a 32-bit integer");
      field->is_repeated() ? reflection->AddInt32(message, field, v)
                           : reflection->SetInt32(message, field, v);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      int64_t v;
      if (!absl::SimpleAtoi(value, &v)) return WrongValue(path, value, "an integer");
      field->is_repeated() ? reflection->AddInt64(message, field, v)
                           : reflection->SetInt64(message, field, v);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      uint32_t v;
      if (!absl::SimpleAtoi(value, &v)) return WrongValue(path, value, "an integer of at least 0");
      field->is_repeated() ? reflection->AddUInt32(message, field, v)
                           : reflection->SetUInt32(message, field, v);
      return absl::OkStatus();
    }
    default: {
      uint64_t v;
      if (!absl::SimpleAtoi(value, &v)) return WrongValue(path, value, "an integer of at least 0");
      field->is_repeated() ? reflection->AddUInt64(message, field, v)
                           : reflection->SetUInt64(message, field, v);
      return absl::OkStatus();
    }
  }
}

absl::Status SetScalar(const FieldDescriptor* field, absl::string_view path,
                       absl::string_view value, Message* message) {
  const Reflection* reflection = message->GetReflection();
  const bool repeated = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string v(value);
      repeated ? reflection->AddString(message, field, v)
               : reflection->SetString(message, field, v);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      bool v;
      if (!absl::SimpleAtob(value, &v)) return WrongValue(path, value, "true or false");
      repeated ? reflection->AddBool(message, field, v) : reflection->SetBool(message, field, v);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT: {
      double v;
      if (!absl::SimpleAtod(value, &v)) return WrongValue(path, value, "a number");
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
        repeated ? reflection->AddDouble(message, field, v)
                 : reflection->SetDouble(message, field, v);
      } else {
        const float f = static_cast<float>(v);
        repeated ? reflection->AddFloat(message, field, f)
                 : reflection->SetFloat(message, field, f);
      }
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      const EnumDescriptor* type = field->enum_type();
      for (int i = 1; i < type->value_count(); ++i) {
        const EnumValueDescriptor* candidate = type->value(i);
        if (absl::EqualsIgnoreCase(value, candidate->name()) ||
            absl::EqualsIgnoreCase(value, ShortEnumName(candidate))) {
          repeated ? reflection->AddEnum(message, field, candidate)
                   : reflection->SetEnum(message, field, candidate);
          return absl::OkStatus();
        }
      }
      return WrongValue(path, value, absl::StrCat("one of ", ValueNames(type)));
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return absl::InvalidArgumentError(
          absl::StrCat(path, " is a group of fields; set one of ",
                       absl::StrJoin(FieldNames(field->message_type()), ", ",
                                     [&](std::string* out, const std::string& name) {
                                       absl::StrAppend(out, path, ".", name);
                                     })));
    default:
      return SetInteger(field, path, value, message);
  }
}

// Sets a list of messages from text format, each in braces: {a: 1 b: 2},{a: 3}.
absl::Status SetMessages(const FieldDescriptor* field, absl::string_view path,
                         absl::string_view value, Message* message) {
  std::unique_ptr<Message> parsed(message->New());
  const absl::Status status =
      ParseMessageText(absl::StrCat(field->name(), ": [", value, "]"), parsed.get());
  if (!status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": '", value, "' is not a list of groups of fields, such as {",
        field->message_type()->field(0)->name(), ": ...},{...}: ", std::string(status.message())));
  }
  message->GetReflection()->ClearField(message, field);
  MergeByPresence(*parsed, message);
  return absl::OkStatus();
}

// Returns the error that `type`, to which the parts before it lead, has no field parts[i].
absl::Status UnknownField(const Descriptor* root, const Descriptor* type, absl::string_view path,
                          const std::vector<std::string>& parts, size_t i) {
  const std::string before = absl::StrJoin(parts.begin(), parts.begin() + i, ".");
  std::vector<std::string> meant = FieldsMeant(type, parts[i]);
  for (std::string& field : meant) {
    std::vector<std::string> mended(parts.begin(), parts.begin() + i);
    mended.push_back(field);
    const FieldDescriptor* own = type->FindFieldByName(field);
    if (own != nullptr && own->message_type() != nullptr) {
      mended.insert(mended.end(), parts.begin() + i + 1, parts.end());
    }
    field = absl::StrJoin(mended, ".");
  }
  if (meant.empty() && parts.size() > 1) meant = FieldsMeant(root, parts.back());
  return absl::InvalidArgumentError(absl::StrCat(
      "no field '", path, "'", before.empty() ? "" : absl::StrCat(" (in '", before, "')"),
      meant.empty() ? SuggestField(type, parts[i]) : DidYouMean(meant)));
}

}  // namespace

absl::Status SetField(absl::string_view assignment, Message* message) {
  const size_t equals = assignment.find('=');
  if (equals == absl::string_view::npos || equals == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", assignment, "' is not an assignment; expected path.to.field=value"));
  }
  const absl::string_view path = absl::StripAsciiWhitespace(assignment.substr(0, equals));
  const absl::string_view value = absl::StripAsciiWhitespace(assignment.substr(equals + 1));
  const std::vector<std::string> parts = absl::StrSplit(path, '.');
  const Descriptor* const root = message->GetDescriptor();
  Message* owner = message;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Descriptor* type = owner->GetDescriptor();
    const FieldDescriptor* field = type->FindFieldByName(parts[i]);
    if (field == nullptr) {
      return UnknownField(root, type, path, parts, i);
    }
    if (i + 1 == parts.size()) {
      if (!field->is_repeated()) return SetScalar(field, path, value, owner);
      if (field->message_type() != nullptr) return SetMessages(field, path, value, owner);
      owner->GetReflection()->ClearField(owner, field);
      for (absl::string_view item : absl::StrSplit(value, ',', absl::SkipWhitespace())) {
        const absl::Status status = SetScalar(field, path, absl::StripAsciiWhitespace(item), owner);
        if (!status.ok()) return status;
      }
      return absl::OkStatus();
    }
    if (field->message_type() != nullptr && field->is_repeated()) {
      const std::string list = absl::StrJoin(parts.begin(), parts.begin() + i + 1, ".");
      return absl::InvalidArgumentError(absl::StrCat("'", path, "': '", list,
                                                     "' is a list; set all of it, such as ", list,
                                                     "={", parts[i + 1], ": ...},{...}"));
    }
    if (field->message_type() == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", path, "': '", parts[i], "' has no fields"));
    }
    owner = owner->GetReflection()->MutableMessage(owner, field);
  }
  return absl::OkStatus();
}

}  // namespace vit
