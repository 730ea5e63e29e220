#include "proto/spec_text.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/reflection.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace vit {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::EnumDescriptor;
using ::google::protobuf::EnumValueDescriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;

int EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int substitution = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitution});
    }
  }
  return row.back();
}

std::vector<std::string> FieldNames(const Descriptor* type) {
  std::vector<std::string> names;
  for (int i = 0; i < type->field_count(); ++i) names.push_back(type->field(i)->name());
  return names;
}

// Every field below `type` by its path, so that a field in the wrong place is found too.
void CollectPaths(const Descriptor* type, const std::string& prefix,
                  std::vector<std::string>* paths) {
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    const std::string path = absl::StrCat(prefix, field->name());
    paths->push_back(path);
    if (field->message_type() != nullptr && !field->is_repeated() &&
        absl::StrContains(field->message_type()->full_name(), "vit.")) {
      CollectPaths(field->message_type(), path + ".", paths);
    }
  }
}

std::string Suggestion(const Descriptor* type, absl::string_view name) {
  const std::string nearest = NearestName(name, FieldNames(type));
  if (!nearest.empty()) return absl::StrCat("; did you mean '", nearest, "'?");
  std::vector<std::string> paths, inside;
  CollectPaths(type, "", &paths);
  for (const std::string& path : paths) {
    if (absl::EndsWith(path, absl::StrCat(".", name))) inside.push_back(path);
  }
  if (!inside.empty())
    return absl::StrCat("; did you mean '", absl::StrJoin(inside, "' or '"), "'?");
  return absl::StrCat("; known: ", absl::StrJoin(FieldNames(type), ", "));
}

std::string AllowedValues(const EnumDescriptor* type) {
  std::vector<std::string> names;
  for (int i = 1; i < type->value_count(); ++i) names.push_back(ShortEnumName(type->value(i)));
  return absl::StrJoin(names, ", ");
}

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
                      Suggestion(type, field));
    } else {
      const absl::string_view value_of = FieldBefore(line, column);
      const bool named = value_of.empty() || absl::StrContains(message, "field");
      absl::StrAppend(&message_, named ? "" : absl::StrCat(value_of, ": "), message);
    }
  }
  const std::string& message() const { return message_; }

 private:
  // The field whose value, or list of values, begins or goes on at this place; "" at another.
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
  return Suggestion(type, field);
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
      return WrongValue(path, value, absl::StrCat("one of ", AllowedValues(type)));
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
  const absl::Status status = ParseText(absl::StrCat(field->name(), ": [", value, "]"),
                                        /*ignore_unknown=*/false, parsed.get());
  if (!status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": '", value, "' is not a list of groups of fields, such as {",
        field->message_type()->field(0)->name(), ": ...},{...}: ", std::string(status.message())));
  }
  message->GetReflection()->ClearField(message, field);
  MergeByPresence(*parsed, message);
  return absl::OkStatus();
}

}  // namespace

std::string ShortEnumName(const EnumValueDescriptor* value) {
  // The prefix is the enumeration's name in capitals, words joined by underscores: the zero value
  // less "UNSPECIFIED".
  const std::string prefix(absl::StripSuffix(value->type()->value(0)->name(), "UNSPECIFIED"));
  return absl::AsciiStrToLower(absl::StripPrefix(value->name(), prefix));
}

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
      return absl::InvalidArgumentError(absl::StrCat(
          name, " is ", value == 0 ? "unspecified" : absl::StrCat(value), "; expected one of ",
          AllowedValues(field->enum_type()), ", or leave it out"));
    }
  }
  return absl::OkStatus();
}

std::string NearestName(absl::string_view name, const std::vector<std::string>& candidates) {
  std::string best;
  int best_distance = static_cast<int>(std::max<size_t>(2, name.size() / 3)) + 1;
  for (const std::string& candidate : candidates) {
    const int distance = EditDistance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
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
      const std::string prefix = absl::StrJoin(parts.begin(), parts.begin() + i, ".");
      std::vector<std::string> paths;
      CollectPaths(root, "", &paths);
      const std::string nearest = NearestName(path, paths);
      const std::string near_name = NearestName(parts[i], FieldNames(type));
      std::string hint;
      if (!near_name.empty()) {
        std::vector<std::string> mended = parts;
        mended[i] = near_name;
        hint = absl::StrCat("; did you mean '", absl::StrJoin(mended, "."), "'?");
      } else if (i == 0 && parts.size() == 1) {
        hint = Suggestion(root, parts[0]);
      } else {
        hint = !nearest.empty() ? absl::StrCat("; did you mean '", nearest, "'?")
                                : Suggestion(type, parts[i]);
      }
      return absl::InvalidArgumentError(
          absl::StrCat("no field '", path, "'",
                       prefix.empty() ? "" : absl::StrCat(" (in '", prefix, "')"), hint));
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
          absl::StrCat("'", path, "': '", parts[i], "' has no fields of its own"));
    }
    owner = owner->GetReflection()->MutableMessage(owner, field);
  }
  return absl::OkStatus();
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
  // What is left is scalars and emptied lists, which MergeFrom copies; messages merged above merge
  // to themselves. A nested list would be appended twice, so messages are taken out first.
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
