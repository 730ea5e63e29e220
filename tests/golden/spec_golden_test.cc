// What a specification means: the effective spec of every recipe, and which values each field
// takes.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/spec/presets.h"
#include "core/train/plan_run.h"
#include "core/train/resolve_spec.h"
#include "proto/field_names.h"
#include "proto/set_field.h"
#include "tests/golden/golden.h"

namespace vit {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using vit::v1::TrainingSpec;

TrainingEnvironment Environment() {
  TrainingEnvironment environment;
  environment.budget = *ComputeBudget::Create(2);
  return environment;
}

void Set(const std::string& assignment, TrainingSpec* spec) {
  ASSERT_TRUE(SetField(assignment, spec).ok()) << assignment;
}

// Small enough for any field to be tried on.
TrainingSpec Base(const std::vector<std::string>& assignments) {
  TrainingSpec spec;
  for (const char* assignment :
       {"data.source=shapes:", "data.shapes.train_size=600", "data.shapes.val_size=20",
        "model.image_size=32", "model.patch_size=8", "model.embed_dim=24", "model.num_heads=2",
        "model.depth=1", "batch_size=8", "epochs=40", "seed=1", "precision=float32"}) {
    Set(assignment, &spec);
  }
  for (const std::string& assignment : assignments) Set(assignment, &spec);
  return spec;
}

std::vector<std::string> ValuesOf(const FieldDescriptor* field) {
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return {"false", "true"};
    case FieldDescriptor::CPPTYPE_ENUM: {
      std::vector<std::string> names;
      for (int i = 1; i < field->enum_type()->value_count(); ++i) {
        names.push_back(ShortEnumName(field->enum_type()->value(i)));
      }
      return names;
    }
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return {"nan",   "-inf",  "-1",  "-1e-9", "0",    "1e-5", "0.01", "0.1", "0.5",  "0.999",
              "1",     "1.001", "2",   "2.5",   "10",   "10.5", "24",   "64",  "64.5", "100",
              "100.5", "256",   "257", "1e3",   "1001", "1e6",  "1e7",  "1e9", "1e10", "inf"};
    case FieldDescriptor::CPPTYPE_UINT64:
      return {"0", "1", "18446744073709551615"};
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      return {"-1",   "0",       "1",       "2",       "3",          "4",         "5",
              "8",    "9",       "10",      "16",      "24",         "32",        "256",
              "257",  "600",     "1000",    "1001",    "1024",       "1025",      "4096",
              "4097", "1000000", "1048576", "1048577", "1000000000", "1000000001"};
    default:
      return {};
  }
}

// "path: the values that are refused".
void AddRefused(const Descriptor* type, const std::string& path,
                const std::vector<std::string>& base, const TrainingEnvironment& environment,
                std::string* text) {
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    const std::string name = absl::StrCat(path, field->name());
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (!field->is_repeated()) {
        AddRefused(field->message_type(), absl::StrCat(name, "."), base, environment, text);
      }
      continue;
    }
    // A large value would cost memory and time, or depends on the machine.
    if (name == "data.shapes.train_size" || name == "data.shapes.val_size") continue;
    absl::StrAppend(text, name, ":");
    for (const std::string& value : ValuesOf(field)) {
      TrainingSpec spec = Base(base);
      ASSERT_TRUE(SetField(absl::StrCat(name, "=", value), &spec).ok()) << name << "=" << value;
      if (!PlanRun("", spec, environment).ok()) absl::StrAppend(text, " ", value);
    }
    absl::StrAppend(text, "\n");
  }
}

TEST(SpecGoldenTest, RefusedValues) {
  const std::vector<std::vector<std::string>> bases = {
      {},
      {"optimizer.type=sgd", "schedule.type=step", "schedule.every_epochs=2", "loss.type=focal",
       "averaging.swa_start_epoch=1"},
      {"optimizer.type=lamb", "schedule.type=polynomial", "loss.type=binary_cross_entropy",
       "optimizer.base_learning_rate=0.001"},
      {"optimizer.type=lion", "schedule.type=warmup_stable_decay", "data.sampler=class_balanced",
       "model.dynamic_image_size=true", "data.folds=4"},
  };
  const TrainingEnvironment environment = Environment();
  std::string text;
  for (const std::vector<std::string>& base : bases) {
    absl::StrAppend(&text, "== ", absl::StrJoin(base, " "), "\n");
    AddRefused(TrainingSpec::descriptor(), "", base, environment, &text);
  }
  ExpectGolden("refused_values.txt", text);
}

// "path: value" for every field of `message`.
void Flatten(const google::protobuf::Message& message, const std::string& path,
             std::vector<std::string>* lines) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string name = absl::StrCat(path, field->name());
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_repeated()) {
      Flatten(message.GetReflection()->GetMessage(message, field), absl::StrCat(name, "."), lines);
      continue;
    }
    const int count = field->is_repeated() ? message.GetReflection()->FieldSize(message, field) : 1;
    std::vector<std::string> values;
    for (int i = 0; i < count; ++i) {
      std::string value;
      google::protobuf::TextFormat::Printer printer;
      printer.SetSingleLineMode(true);
      printer.PrintFieldValueToString(message, field, field->is_repeated() ? i : -1, &value);
      values.push_back(value);
    }
    lines->push_back(absl::StrCat(name, ": ", absl::StrJoin(values, " ")));
  }
}

TEST(SpecGoldenTest, EffectiveSpecs) {
  const TrainingEnvironment environment = Environment();
  std::string text;
  std::set<std::string> first;  // the first is written in full, the others as differences from it
  const auto add = [&](const std::string& title, const std::string& preset,
                       const TrainingSpec& spec) {
    const auto resolved = PlanRun(preset, spec, environment);
    ASSERT_TRUE(resolved.ok()) << title << ": " << resolved.status();
    std::vector<std::string> lines;
    Flatten(resolved->spec, "", &lines);
    absl::StrAppend(&text, "== ", title, "\n");
    for (const std::string& line : lines) {
      if (!first.contains(line)) absl::StrAppend(&text, line, "\n");
    }
    if (first.empty()) first = std::set(lines.begin(), lines.end());
  };
  for (const char* base : {"",
                           "optimizer.type=sgd",
                           "optimizer.type=adam",
                           "optimizer.type=lamb",
                           "optimizer.type=lion",
                           "optimizer.base_learning_rate=0.01",
                           "optimizer.groups={parameters: 'head.*'}",
                           "schedule.type=linear",
                           "schedule.type=constant",
                           "schedule.type=polynomial",
                           "schedule.type=warmup_stable_decay",
                           "loss.type=focal",
                           "loss.type=binary_cross_entropy",
                           "averaging.swa_start_epoch=1",
                           "model.global_pool=avg",
                           "model.global_pool=max",
                           "model.norm_layer=batch_norm",
                           "model.patch_width=4",
                           "data.folds=3",
                           "data.interpolation=bilinear",
                           "data.eval.crop_pct=0.5",
                           "max_steps=3",
                           "schedule.warmup_steps=5"}) {
    TrainingSpec spec =
        Base(*base == '\0' ? std::vector<std::string>{} : std::vector<std::string>{base});
    if (spec.has_max_steps()) spec.clear_epochs();
    add(absl::StrCat("set ", base), "", spec);
  }
  for (const vit::v1::Preset& preset : AllPresets()) {
    TrainingSpec spec;
    Set("data.source=shapes:", &spec);
    Set("data.shapes.train_size=1300000", &spec);
    Set("seed=1", &spec);
    Set("precision=float32", &spec);
    if (!preset.needs_init().empty()) Set("init=", &spec);
    if (preset.spec().model().num_classes() != 0) Set("model.num_classes=10", &spec);
    add(absl::StrCat("preset ", preset.name()), preset.name(), spec);
  }
  ExpectGolden("effective_specs.txt", text);
}

}  // namespace
}  // namespace vit
