// The messages, fields, enumerations and services of package vit.v1.
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/golden/golden.h"
#include "vit/v1/inference.pb.h"
#include "vit/v1/repository.pb.h"
#include "vit/v1/training.pb.h"

namespace vit {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

std::string TypeName(const FieldDescriptor* field) {
  std::string type = field->type_name();
  if (field->message_type() != nullptr) type = field->message_type()->full_name();
  if (field->enum_type() != nullptr) type = field->enum_type()->full_name();
  return absl::StrCat(field->is_repeated()            ? "repeated "
                      : field->has_optional_keyword() ? "optional "
                                                      : "",
                      type);
}

void AddEnum(const EnumDescriptor* type, std::set<std::string>* lines) {
  for (int i = 0; i < type->value_count(); ++i) {
    lines->insert(absl::StrCat(type->full_name(), ".", type->value(i)->name(), " = ",
                               type->value(i)->number()));
  }
}

void AddMessage(const Descriptor* type, std::set<std::string>* lines) {
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    lines->insert(absl::StrCat(field->full_name(), " = ", field->number(), " ", TypeName(field)));
  }
  for (int i = 0; i < type->nested_type_count(); ++i) AddMessage(type->nested_type(i), lines);
  for (int i = 0; i < type->enum_type_count(); ++i) AddEnum(type->enum_type(i), lines);
}

void AddFile(const FileDescriptor* file, std::set<std::string>* lines) {
  if (file->package() != "vit.v1") return;
  for (int i = 0; i < file->dependency_count(); ++i) AddFile(file->dependency(i), lines);
  for (int i = 0; i < file->message_type_count(); ++i) AddMessage(file->message_type(i), lines);
  for (int i = 0; i < file->enum_type_count(); ++i) AddEnum(file->enum_type(i), lines);
  for (int i = 0; i < file->service_count(); ++i) {
    const auto* service = file->service(i);
    for (int j = 0; j < service->method_count(); ++j) {
      const auto* method = service->method(j);
      lines->insert(absl::StrCat(
          method->full_name(), "(", method->client_streaming() ? "stream " : "",
          method->input_type()->full_name(), ") ", method->server_streaming() ? "stream " : "",
          method->output_type()->full_name()));
    }
  }
}

TEST(GoldenTest, Messages) {
  std::set<std::string> lines;
  AddFile(vit::v1::Run::descriptor()->file(), &lines);
  AddFile(vit::v1::ClassifyRequest::descriptor()->file(), &lines);
  AddFile(vit::v1::ListModelsRequest::descriptor()->file(), &lines);
  ExpectGolden("messages.txt", absl::StrCat(absl::StrJoin(lines, "\n"), "\n"));
}

}  // namespace
}  // namespace vit
