#include "client/vitctl/view/field_text.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "proto/field_names.h"
#include "proto/schema.h"
#include "vit/v1/training.pb.h"

namespace vit {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;

// The message that holds the field at `path`: "optimizer" of "optimizer.beta1".
std::string ParentPath(const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot + 1);
}

// Escapes text for a cell of a Markdown table.
std::string InCell(const std::string& text) { return absl::StrReplaceAll(text, {{"|", "\\|"}}); }

// Lists the values: "adamw: Decoupled weight decay ..." for each.
std::string ValuesMarkdown(const FieldDescriptor* field) {
  std::vector<std::string> values;
  for (int i = 1; i < field->enum_type()->value_count(); ++i) {
    const EnumValueDescriptor* value = field->enum_type()->value(i);
    const std::string comment = CommentOf(value);
    values.push_back(absl::StrCat("`", ShortEnumName(value), "`",
                                  comment.empty() ? "" : absl::StrCat(": ", comment)));
  }
  return absl::StrJoin(values, "<br>");
}

// Adds a table of the values in `parent`, then the groups in it.
void AddGroup(const SpecField& parent, std::string* text) {
  std::string table;
  std::string groups;
  for (const SpecField& field : FieldsIn(parent)) {
    if (field.descriptor->message_type() != nullptr && !field.descriptor->is_repeated()) {
      AddGroup(field, &groups);
      continue;
    }
    std::string meaning = CommentOf(field.descriptor);
    if (field.descriptor->enum_type() != nullptr) {
      absl::StrAppend(&meaning, "<br>", ValuesMarkdown(field.descriptor));
    }
    absl::StrAppend(&table, "| `", field.path, "` | ", InCell(DefaultText(field)), " | ",
                    InCell(LimitsText(field)), " | ", InCell(meaning), " |\n");
    if (field.descriptor->message_type() != nullptr) AddGroup(field, &groups);
  }
  if (parent.descriptor != nullptr) {
    absl::StrAppend(text, "\n## ", parent.path, "\n\n", CommentOf(parent.descriptor), "\n");
  }
  if (!table.empty()) {
    absl::StrAppend(text, "\n| field | default | values | meaning |\n|---|---|---|---|\n", table);
  }
  absl::StrAppend(text, groups);
}

// Returns the type that holds the fields in `parent`; null if it is not a group.
const Descriptor* TypeOf(const SpecField& parent) {
  return parent.descriptor == nullptr ? vit::v1::TrainingSpec::descriptor()
                                      : parent.descriptor->message_type();
}

}  // namespace

absl::StatusOr<SpecField> FindSpecField(absl::string_view path) {
  SpecField found;
  for (const absl::string_view name : absl::StrSplit(path, '.')) {
    const Descriptor* const type = TypeOf(found);
    if (type == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(found.path, " has no fields"));
    }
    SpecField next;
    for (SpecField& field : FieldsIn(found)) {
      if (field.descriptor->name() == name) next = std::move(field);
    }
    if (next.descriptor == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(found.path.empty() ? "a spec" : found.path,
                                                     " has no field '", name, "'",
                                                     SuggestField(type, name)));
    }
    found = std::move(next);
  }
  return found;
}

std::vector<SpecField> FieldsIn(const SpecField& parent) {
  const Descriptor* const type = TypeOf(parent);
  std::vector<SpecField> fields;
  for (int i = 0; type != nullptr && i < type->field_count(); ++i) {
    fields.push_back({parent.path.empty() ? type->field(i)->name()
                                          : absl::StrCat(parent.path, ".", type->field(i)->name()),
                      type->field(i)});
  }
  return fields;
}

std::string TypeText(const SpecField& field) {
  const bool list = field.descriptor->is_repeated();
  switch (field.descriptor->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return list ? "list of groups" : "group of fields";
    case FieldDescriptor::CPPTYPE_ENUM:
      return "name";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_STRING:
      return list ? "list of texts" : "text";
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return list ? "list of numbers" : "number";
    default:
      return list ? "list of whole numbers" : "whole number";
  }
}

std::string DefaultText(const SpecField& field) {
  const vit::v1::FieldRule& rule = RuleOf(field.descriptor);
  return rule.default_().empty() ? rule.derived() : rule.default_();
}

std::string LimitsText(const SpecField& field) {
  const vit::v1::FieldRule& rule = RuleOf(field.descriptor);
  const std::string parent = ParentPath(field.path);
  std::vector<std::string> parts;
  const std::string range = DescribeRange(rule);
  if (!range.empty() && !rule.unit().empty()) {
    parts.push_back(absl::StrCat(range, " ", rule.unit()));
  } else if (!range.empty() || !rule.unit().empty()) {
    parts.push_back(absl::StrCat(range, rule.unit()));
  }
  if (!rule.only_for().empty()) {
    parts.push_back(absl::StrCat("with ", parent, "type ", absl::StrJoin(rule.only_for(), ", ")));
  }
  if (!rule.needs().empty()) parts.push_back(absl::StrCat("with ", parent, rule.needs()));
  return absl::StrJoin(parts, "; ");
}

std::string SummaryText(const SpecField& field) {
  const std::string comment = CommentOf(field.descriptor);
  const size_t end = comment.find(". ");
  return end == std::string::npos ? comment : comment.substr(0, end + 1);
}

std::string FieldsMarkdown() {
  std::string text =
      "# Fields of a training spec\n\n"
      "The fields that `--set`, `--spec` and presets set, read from the schema (`proto/vit/v1/`). "
      "`vitctl fields PATH` shows\n"
      "the same in the terminal. This page is generated: `vitctl fields --markdown > "
      "docs/fields.md`.\n";
  AddGroup({}, &text);
  return text;
}

}  // namespace vit
