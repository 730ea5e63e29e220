#include "proto/spec_text.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/reflection.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
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

// The suggestion for the JSON parser's "(optimizer) learning_rte: Cannot find field.", or "" for
// another message.
std::string JsonSuggestion(const Descriptor* root, absl::string_view message) {
  const size_t end = message.find(": Cannot find field");
  if (end == absl::string_view::npos) return "";
  absl::string_view field = message.substr(0, end);
  const Descriptor* type = root;
  if (const absl::string_view path = Between(field, "(", ')'); !path.empty()) {
    for (const absl::string_view part : absl::StrSplit(path, '.')) {
      const FieldDescriptor* step = type->FindFieldByCamelcaseName(std::string(part));
      if (step == nullptr) step = type->FindFieldByName(std::string(part));
      if (step == nullptr || step->message_type() == nullptr) return "";
      type = step->message_type();
    }
  }
  const size_t space = field.rfind(' ');
  if (space != absl::string_view::npos) field.remove_prefix(space + 1);
  return SuggestField(type, field);
}

absl::Status ParseJson(absl::string_view text, bool ignore_unknown, Message* message) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = ignore_unknown;
  std::unique_ptr<Message> parsed(message->New());
  const auto status =
      google::protobuf::util::JsonStringToMessage(std::string(text), parsed.get(), options);
  if (!status.ok()) {
    std::string what(status.message().data(), status.message().size());
    absl::StrAppend(&what, JsonSuggestion(message->GetDescriptor(), what));
    return absl::InvalidArgumentError(what);
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
