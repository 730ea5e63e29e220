#include "core/spec/merge_spec.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/spec/rules.h"
#include "proto/spec_text.h"

namespace vit {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::vit::v1::TrainingSpec;

// What a resumed run may change, with everything in it. The rest decides what was trained so far:
// with other data or another model, the steps before and after would not be one run.
constexpr const char* kChangeable[] = {
    "epochs",
    "max_steps",
    "schedule",
    "optimizer.learning_rate",
    "optimizer.base_learning_rate",
    "optimizer.base_batch_size",
    "optimizer.learning_rate_scaling",
    "evaluation",
    "checkpoint",
    "log_every_steps",
    "early_stopping",
};

bool IsChangeable(const std::string& path) {
  return std::any_of(std::begin(kChangeable), std::end(kChangeable),
                     [&](const char* changeable) { return path == changeable; });
}

// Whether `field` has the same value in both, which are of one type.
bool SameField(const Message& a, const Message& b, const FieldDescriptor* field) {
  google::protobuf::util::MessageDifferencer differencer;
  return differencer.CompareWithFields(a, b, {field}, {field});
}

// Adds to `refused` the paths that `changes` sets to another value than `effective` has.
void FindRefused(const Message& changes, const Message& effective, const std::string& prefix,
                 std::vector<std::string>* refused) {
  std::vector<const FieldDescriptor*> fields;
  changes.GetReflection()->ListFields(changes, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string path = absl::StrCat(prefix, field->name());
    if (IsChangeable(path)) continue;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_repeated()) {
      FindRefused(changes.GetReflection()->GetMessage(changes, field),
                  effective.GetReflection()->GetMessage(effective, field), absl::StrCat(path, "."),
                  refused);
    } else if (!SameField(changes, effective, field)) {
      refused->push_back(path);
    }
  }
}

// learning_rate follows from base_learning_rate, and replaces it if it is set itself.
void ClearReplacedRate(const vit::v1::OptimizerConfig& over, vit::v1::OptimizerConfig* base) {
  if (base->has_base_learning_rate() || over.has_base_learning_rate()) base->clear_learning_rate();
  if (over.has_base_learning_rate() || !over.has_learning_rate()) return;
  base->clear_base_learning_rate();
  base->clear_base_batch_size();
  base->clear_learning_rate_scaling();
}

}  // namespace

void MergeSpec(const TrainingSpec& spec, TrainingSpec* base) {
  ClearReplaced(spec, base);
  if (base->has_optimizer()) ClearReplacedRate(spec.optimizer(), base->mutable_optimizer());
  if (spec.schedule().type() == vit::v1::SCHEDULE_TYPE_CONSTANT && base->has_schedule()) {
    base->mutable_schedule()->clear_min_learning_rate();
  }
  MergeByPresence(spec, base);
}

absl::StatusOr<TrainingSpec> ChangeSpec(const TrainingSpec& effective,
                                        const TrainingSpec& changes) {
  std::vector<std::string> refused;
  FindRefused(changes, effective, "", &refused);
  if (!refused.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a run keeps its ", absl::StrJoin(refused, ", "),
        " from its start to its end; a resumed run can change ", absl::StrJoin(kChangeable, ", "),
        ". For other changes start a new run from its weights, with --init run:ID"));
  }
  TrainingSpec changed = effective;
  MergeSpec(changes, &changed);
  return changed;
}

}  // namespace vit
