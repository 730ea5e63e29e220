#include "proto/schema.h"

#include <google/protobuf/descriptor.pb.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

// The descriptors of the schema with their comments, which generated code leaves out: a
// FileDescriptorSet that protoc wrote.
asm(R"(
  .section .rodata
  .global vit_schema_begin
  .global vit_schema_size
vit_schema_begin:
  .incbin ")" VIT_SCHEMA_FILE R"("
vit_schema_end:
  .balign 8
vit_schema_size:
  .quad vit_schema_end - vit_schema_begin
  .previous
)");
extern "C" const char vit_schema_begin[];
extern "C" const int64_t vit_schema_size;

namespace vit {
namespace {

// The path of an element in its file, as SourceCodeInfo gives it.
using Path = std::vector<int>;

std::string OneLine(absl::string_view comment) {
  return std::string(
      absl::StripAsciiWhitespace(absl::StrReplaceAll(comment, {{"\n ", " "}, {"\n", " "}})));
}

const std::string& Comment(const std::string& file, const Path& path) {
  static const auto* const comments = [] {
    auto* all = new std::map<std::pair<std::string, Path>, std::string>;
    google::protobuf::FileDescriptorSet files;
    files.ParseFromArray(vit_schema_begin, static_cast<int>(vit_schema_size));
    for (const auto& proto : files.file()) {
      for (const auto& location : proto.source_code_info().location()) {
        if (!location.has_leading_comments()) continue;
        (*all)[{proto.name(), Path(location.path().begin(), location.path().end())}] =
            OneLine(location.leading_comments());
      }
    }
    return all;
  }();
  static const std::string* const none = new std::string;
  const auto found = comments->find({file, path});
  return found == comments->end() ? *none : found->second;
}

}  // namespace

const vit::v1::FieldRule& RuleOf(const google::protobuf::FieldDescriptor* field) {
  return field->options().GetExtension(vit::v1::rule);
}

std::string NumberText(double value) {
  if (std::abs(value) < 1e15 && value == std::floor(value)) {
    return absl::StrCat(static_cast<int64_t>(value));
  }
  return absl::StrCat(value);
}

std::string DescribeRange(const vit::v1::FieldRule& rule) {
  if (rule.has_min() && rule.has_max()) {
    return rule.min() == rule.max()
               ? NumberText(rule.min())
               : absl::StrCat(NumberText(rule.min()), " to ", NumberText(rule.max()));
  }
  std::vector<std::string> parts;
  if (rule.has_min()) parts.push_back(absl::StrCat("at least ", NumberText(rule.min())));
  if (rule.has_above()) parts.push_back(absl::StrCat("above ", NumberText(rule.above())));
  if (rule.has_max()) parts.push_back(absl::StrCat("at most ", NumberText(rule.max())));
  if (rule.has_below()) parts.push_back(absl::StrCat("below ", NumberText(rule.below())));
  return absl::StrJoin(parts, ", ");
}

std::string CommentOf(const google::protobuf::FieldDescriptor* field) {
  using google::protobuf::DescriptorProto;
  using google::protobuf::FileDescriptorProto;
  return Comment(field->file()->name(),
                 {FileDescriptorProto::kMessageTypeFieldNumber, field->containing_type()->index(),
                  DescriptorProto::kFieldFieldNumber, field->index()});
}

std::string CommentOf(const google::protobuf::EnumValueDescriptor* value) {
  using google::protobuf::EnumDescriptorProto;
  using google::protobuf::FileDescriptorProto;
  return Comment(value->file()->name(),
                 {FileDescriptorProto::kEnumTypeFieldNumber, value->type()->index(),
                  EnumDescriptorProto::kValueFieldNumber, value->index()});
}

}  // namespace vit
