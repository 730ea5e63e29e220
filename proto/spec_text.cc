#include "proto/spec_text.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/reflection.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "proto/field_names.h"

namespace vit {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;

const Descriptor* FindType(const Descriptor* root, absl::string_view full_name) {
  return root->file()->pool()->FindMessageTypeByName(std::string(full_name));
}

// The part of `text` between the first `open` after `from` and the next `close`.
absl::string_view Between(absl::string_view text, absl::string_view open, char close) {
  const size_t begin = text.find(open.data(), 0, open.size());
  if (begin == absl::string_view::npos) return {};
  text.remove_prefix(begin + open.size());
  return text.substr(0, text.find(close));
}

// Keeps the first error of the text parser, in this project's words.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  FirstError(const Descriptor* root, absl::string_view text) : root_(root), text_(text) {}

  void AddError(int line, int column, const std::string& message) override {
    if (!message_.empty()) return;
    message_ = absl::StrCat("line ", line + 1, ", column ", column + 1, ": ");
    const absl::string_view type_name = Between(message, "Message type \"", '"');
    const absl::string_view field = Between(message, "has no field named \"", '"');
    if (const Descriptor* type = FindType(root_, type_name); type != nullptr && !field.empty()) {
      absl::StrAppend(&message_, type->name(), " has no field '", field, "'",
                      SuggestField(type, field));
    } else {
      const absl::string_view value_of = FieldBefore(line, column);
      const bool named = value_of.empty() || absl::StrContains(message, "field");
      absl::StrAppend(&message_, named ? "" : absl::StrCat(value_of, ": "), message);
    }
  }
  const std::string& message() const { return message_; }

 private:
  // The field whose value, or list of values, begins or continues at this place; "" at another.
  absl::string_view FieldBefore(int line, int column) const {
    constexpr int kTabWidth = 8;  // as the parser counts
    size_t end = 0;
    for (; line > 0 && end < text_.size(); ++end) line -= text_[end] == '\n' ? 1 : 0;
    for (int at = 0; at < column && end < text_.size(); ++end) {
      at += text_[end] == '\t' ? kTabWidth - at % kTabWidth : 1;
    }
    const absl::string_view before = text_.substr(0, end);
    const size_t colon = before.rfind(':');
    if (colon == absl::string_view::npos) return "";
    const absl::string_view value = absl::StripLeadingAsciiWhitespace(before.substr(colon + 1));
    if (!value.empty() && value[0] != '[') return "";
    const absl::string_view name = absl::StripTrailingAsciiWhitespace(before.substr(0, colon));
    size_t begin = name.size();
    while (begin > 0 && (absl::ascii_isalnum(name[begin - 1]) || name[begin - 1] == '_')) --begin;
    return name.substr(begin);
  }

  const Descriptor* root_;
  const absl::string_view text_;
  std::string message_;
};

std::string TypeWords(const FieldDescriptor* field) {
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "a group of fields";
    case FieldDescriptor::CPPTYPE_ENUM:
      return absl::StrCat("one of ", ValueNames(field->enum_type()));
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return "a number";
    case FieldDescriptor::CPPTYPE_STRING:
      return "text";
    default:
      return "an integer";
  }
}

// Words the JSON parser's errors as SetField does: "(optimizer) beta3: Cannot find field." and
// "(optimizer.beta1): invalid value \"x\" for type TYPE_DOUBLE". Others stay as they are.
std::string JsonError(const Descriptor* root, const std::string& message) {
  absl::string_view rest = message;
  std::vector<std::string> path;  // of the place in parentheses
  const Descriptor* type = root;
  const FieldDescriptor* field = nullptr;
  if (const absl::string_view place = Between(rest, "(", ')'); absl::ConsumePrefix(&rest, "(")) {
    for (const absl::string_view part : absl::StrSplit(place, '.')) {
      if (type == nullptr) return message;
      field = type->FindFieldByCamelcaseName(std::string(part));
      if (field == nullptr) field = type->FindFieldByName(std::string(part));
      if (field == nullptr) return message;
      path.push_back(field->name());
      type = field->message_type();
    }
    rest.remove_prefix(std::min(place.size() + 1, rest.size()));
    absl::ConsumePrefix(&rest, " ");
  }
  const absl::string_view name = rest.substr(0, rest.find(": Cannot find field"));
  if (name.size() < rest.size() && type != nullptr) {
    path.emplace_back(name);
    return absl::StrCat("no field '", absl::StrJoin(path, "."), "'", SuggestField(type, name));
  }
  if (field != nullptr && absl::ConsumePrefix(&rest, ": invalid value ")) {
    const absl::string_view value = rest.substr(0, rest.find(" for type TYPE_"));
    return absl::StrCat(absl::StrJoin(path, "."), ": ", value, " is not ", TypeWords(field));
  }
  return message;
}

absl::Status ParseJson(absl::string_view text, bool ignore_unknown, Message* message) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = ignore_unknown;
  std::unique_ptr<Message> parsed(message->New());
  const auto status =
      google::protobuf::util::JsonStringToMessage(std::string(text), parsed.get(), options);
  if (!status.ok()) {
    return absl::InvalidArgumentError(JsonError(
        message->GetDescriptor(), std::string(status.message().data(), status.message().size())));
  }
  MergeByPresence(*parsed, message);
  return absl::OkStatus();
}

absl::Status ParseText(absl::string_view text, bool ignore_unknown, Message* message) {
  if (absl::StartsWith(absl::StripLeadingAsciiWhitespace(text), "{")) {
    return ParseJson(text, ignore_unknown, message);
  }
  FirstError error(message->GetDescriptor(), text);
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.AllowUnknownField(ignore_unknown);
  std::unique_ptr<Message> parsed(message->New());
  if (!parser.ParseFromString(std::string(text), parsed.get())) {
    return absl::InvalidArgumentError(error.message());
  }
  MergeByPresence(*parsed, message);
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckEnums(const Message& message, absl::string_view path) {
  const Reflection* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string name = absl::StrCat(path, field->name());
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_repeated()) {
      const absl::Status status =
          CheckEnums(reflection->GetMessage(message, field), absl::StrCat(name, "."));
      if (!status.ok()) return status;
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM && !field->is_repeated()) {
      const int value = reflection->GetEnumValue(message, field);
      if (value != 0 && field->enum_type()->FindValueByNumber(value) != nullptr) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(name, " is ", value == 0 ? "unspecified" : absl::StrCat(value),
                       "; expected one of ", ValueNames(field->enum_type()), ", or leave it out"));
    }
  }
  return absl::OkStatus();
}

absl::Status ParseMessageText(absl::string_view text, Message* message) {
  return ParseText(text, /*ignore_unknown=*/false, message);
}

absl::Status ParseStoredMessageText(absl::string_view text, Message* message) {
  return ParseText(text, /*ignore_unknown=*/true, message);
}

std::string MessageToText(const Message& message) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(message, &text);
  return text;
}

void MergeByPresence(const Message& from, Message* into) {
  const Reflection* reflection = from.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(from, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->is_repeated()) {
      reflection->ClearField(into, field);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      MergeByPresence(reflection->GetMessage(from, field), reflection->MutableMessage(into, field));
    }
  }
  // The rest is scalars and emptied lists, which MergeFrom copies; messages merged above merge to
  // themselves. A nested list would be appended twice, so messages are taken out first.
  std::unique_ptr<Message> rest(from.New());
  rest->CopyFrom(from);
  for (const FieldDescriptor* field : fields) {
    if (!field->is_repeated() && field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      reflection->ClearField(rest.get(), field);
    }
  }
  into->MergeFrom(*rest);
}

}  // namespace vit
