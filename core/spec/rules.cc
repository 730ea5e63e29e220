#include "core/spec/rules.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "proto/field_names.h"
#include "proto/schema.h"
#include "proto/set_field.h"

namespace vit {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::vit::v1::FieldRule;

bool IsSet(const Message& message, const FieldDescriptor* field) {
  return field->is_repeated() ? message.GetReflection()->FieldSize(message, field) > 0
                              : message.GetReflection()->HasField(message, field);
}

bool IsMessage(const FieldDescriptor* field) {
  return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
}

// The name of the value of the message's `type`: "adamw"; "" if there is no such field.
std::string TypeOf(const Message& message) {
  const FieldDescriptor* type = message.GetDescriptor()->FindFieldByName("type");
  if (type == nullptr || type->enum_type() == nullptr) return "";
  return ShortEnumName(message.GetReflection()->GetEnum(message, type));
}

bool IsFor(const FieldRule& rule, absl::string_view type) {
  return rule.only_for().empty() ||
         std::find(rule.only_for().begin(), rule.only_for().end(), type) != rule.only_for().end();
}

bool HasWhatItNeeds(const FieldRule& rule, const Message& message) {
  if (rule.needs().empty()) return true;
  const FieldDescriptor* needed = message.GetDescriptor()->FindFieldByName(rule.needs());
  // An empty text means that there is none.
  return IsSet(message, needed) && (needed->cpp_type() != FieldDescriptor::CPPTYPE_STRING ||
                                    !message.GetReflection()->GetString(message, needed).empty());
}

// The fields of `choice` that are set.
std::vector<const FieldDescriptor*> Chosen(const Message& message, const std::string& choice) {
  std::vector<const FieldDescriptor*> chosen;
  const Descriptor* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    if (RuleOf(type->field(i)).choice() == choice && IsSet(message, type->field(i))) {
      chosen.push_back(type->field(i));
    }
  }
  return chosen;
}

// Calls `visit(message, path)` for `message` and every message in it.
template <typename Visit>
absl::Status VisitMessages(const Message& message, absl::string_view path, const Visit& visit) {
  VIT_RETURN_IF_ERROR(visit(message, path));
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (!IsMessage(field)) continue;
    if (!field->is_repeated()) {
      VIT_RETURN_IF_ERROR(VisitMessages(message.GetReflection()->GetMessage(message, field),
                                        absl::StrCat(path, field->name(), "."), visit));
      continue;
    }
    for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
      VIT_RETURN_IF_ERROR(
          VisitMessages(message.GetReflection()->GetRepeatedMessage(message, field, i),
                        absl::StrCat(path, field->name(), "[", i, "]."), visit));
    }
  }
  return absl::OkStatus();
}

bool InRange(const FieldRule& rule, double value) {
  return std::isfinite(value) && (!rule.has_min() || value >= rule.min()) &&
         (!rule.has_above() || value > rule.above()) && (!rule.has_max() || value <= rule.max()) &&
         (!rule.has_below() || value < rule.below());
}

// The values of a numeric field; nothing for other types. Those of uint64 have no bounds.
std::vector<double> Numbers(const Message& message, const FieldDescriptor* field) {
  const auto* reflection = message.GetReflection();
  const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
  std::vector<double> values;
  for (int i = 0; i < count; ++i) {
    const bool repeated = field->is_repeated();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        values.push_back(repeated ? reflection->GetRepeatedInt32(message, field, i)
                                  : reflection->GetInt32(message, field));
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        values.push_back(static_cast<double>(repeated
                                                 ? reflection->GetRepeatedInt64(message, field, i)
                                                 : reflection->GetInt64(message, field)));
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        values.push_back(repeated ? reflection->GetRepeatedDouble(message, field, i)
                                  : reflection->GetDouble(message, field));
        break;
      default:
        return {};
    }
  }
  return values;
}

absl::Status CheckField(const Message& message, const FieldDescriptor* field,
                        absl::string_view path) {
  const FieldRule& rule = RuleOf(field);
  const std::string name = absl::StrCat(path, field->name());
  const std::string type = TypeOf(message);
  if (!IsFor(rule, type)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " applies to ", path, "type ", absl::StrJoin(rule.only_for(), ", "),
                     ", and ", path, "type is ", type, "; remove it, or change ", path, "type"));
  }
  if (!HasWhatItNeeds(rule, message)) {
    return absl::InvalidArgumentError(absl::StrCat(name, " has no effect without ", path,
                                                   rule.needs(), "; set that, or remove ", name));
  }
  for (const double value : Numbers(message, field)) {
    if (InRange(rule, value)) continue;
    const std::string range = DescribeRange(rule);
    return absl::InvalidArgumentError(absl::StrCat(
        name, " is ", NumberText(value), "; expected ", range.empty() ? "a finite number" : range,
        rule.hint().empty() ? "" : absl::StrCat(" (", rule.hint(), ")")));
  }
  return absl::OkStatus();
}

// At most one field of each choice, in this message alone.
absl::Status CheckOwnChoices(const Message& message, absl::string_view path) {
  std::map<std::string, const FieldDescriptor*> chosen;
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string& choice = RuleOf(field).choice();
    if (choice.empty()) continue;
    const auto [other, first] = chosen.emplace(choice, field);
    if (!first) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, other->second->name(), " and ", path, field->name(),
                       " are both set; they exclude each other, so set one of them"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

void FillRuleDefaults(Message* message) {
  const auto* reflection = message->GetReflection();
  const Descriptor* descriptor = message->GetDescriptor();
  // `type` first: other defaults depend on it.
  std::vector<const FieldDescriptor*> fields;
  fields.reserve(descriptor->field_count());
  for (int i = 0; i < descriptor->field_count(); ++i) fields.push_back(descriptor->field(i));
  std::stable_partition(fields.begin(), fields.end(),
                        [](const FieldDescriptor* field) { return field->name() == "type"; });
  for (const FieldDescriptor* field : fields) {
    if (IsMessage(field)) {
      if (field->is_repeated()) {
        for (int i = 0; i < reflection->FieldSize(*message, field); ++i) {
          FillRuleDefaults(reflection->MutableRepeatedMessage(message, field, i));
        }
      } else if (reflection->HasField(*message, field)) {
        FillRuleDefaults(reflection->MutableMessage(message, field));
      } else {
        // A message in which nothing has a default that applies stays absent.
        std::unique_ptr<Message> filled(reflection->GetMessage(*message, field).New());
        FillRuleDefaults(filled.get());
        if (filled->ByteSizeLong() > 0) {
          reflection->MutableMessage(message, field)->CopyFrom(*filled);
        }
      }
      continue;
    }
    const FieldRule& rule = RuleOf(field);
    if (rule.default_().empty() || IsSet(*message, field) || !IsFor(rule, TypeOf(*message)) ||
        !HasWhatItNeeds(rule, *message) ||
        (!rule.choice().empty() && !Chosen(*message, rule.choice()).empty())) {
      continue;
    }
    // A test sets every default.
    (void)SetField(absl::StrCat(field->name(), "=", rule.default_()), message);
  }
}

absl::Status CheckRules(const Message& message, absl::string_view path) {
  return VisitMessages(message, path,
                       [](const Message& part, absl::string_view part_path) -> absl::Status {
                         VIT_RETURN_IF_ERROR(CheckOwnChoices(part, part_path));
                         std::vector<const FieldDescriptor*> fields;
                         part.GetReflection()->ListFields(part, &fields);
                         for (const FieldDescriptor* field : fields) {
                           if (!IsMessage(field)) {
                             VIT_RETURN_IF_ERROR(CheckField(part, field, part_path));
                           }
                         }
                         return absl::OkStatus();
                       });
}

absl::Status CheckChoices(const Message& message, absl::string_view path) {
  return VisitMessages(message, path, CheckOwnChoices);
}

void ClearReplaced(const Message& over, Message* base) {
  const auto* reflection = over.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(over, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string& choice = RuleOf(field).choice();
    if (!choice.empty()) {
      for (const FieldDescriptor* chosen : Chosen(*base, choice)) {
        reflection->ClearField(base, chosen);
      }
    }
    if (field->name() == "type" && field->enum_type() != nullptr) {
      const std::string type = TypeOf(over);
      for (int i = 0; i < base->GetDescriptor()->field_count(); ++i) {
        const FieldDescriptor* other = base->GetDescriptor()->field(i);
        if (!IsFor(RuleOf(other), type)) reflection->ClearField(base, other);
      }
    }
    if (IsMessage(field) && !field->is_repeated() && reflection->HasField(*base, field)) {
      ClearReplaced(reflection->GetMessage(over, field), reflection->MutableMessage(base, field));
    }
  }
}

}  // namespace vit
