#include "core/train/recipe/distillation_config.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/train/weight_reference.h"
#include "core/weights/model_directory.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using vit::v1::DistillationConfig;

constexpr absl::string_view kField = "distillation.teacher";
constexpr const char* kFiles[] = {"model.safetensors", "config.json", "labels.txt"};

fs::path KeptTeacher(const fs::path& run_directory) { return run_directory / "teacher"; }

absl::Status Validate(const DistillationConfig& config, const vit::v1::LossConfig& loss) {
  if (!IsWeightReference(config.teacher())) {
    return absl::InvalidArgumentError(
        absl::StrCat(kField, " '", config.teacher(),
                     "': expected model:NAME or run:ID; vitctl import brings a file into the "
                     "repository"));
  }
  if (!(config.weight() >= 0 && config.weight() <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("distillation.weight is ", config.weight(), "; expected 0 to 1"));
  }
  const bool soft = config.type() == vit::v1::DISTILLATION_TYPE_SOFT;
  if (!soft && config.has_temperature()) {
    return absl::InvalidArgumentError(
        "distillation.temperature belongs to distillation.type soft; set that, or leave "
        "temperature out");
  }
  if (soft && !(config.temperature() > 0 && std::isfinite(config.temperature()))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "distillation.temperature is ", config.temperature(), "; expected a number above 0"));
  }
  if (loss.hardest_fraction() < 1) {
    return absl::InvalidArgumentError(
        "loss.hardest_fraction picks the pictures whose labels are hardest, which a teacher's "
        "answers are not; set it to 1, or leave distillation.teacher out");
  }
  return absl::OkStatus();
}

// The teacher's classes against the data's.
absl::Status CheckLabels(const std::string& teacher, const std::vector<std::string>& labels,
                         const DataSet& data) {
  const std::vector<std::string>& classes = data.class_names();
  if (labels.size() != classes.size()) {
    return absl::InvalidArgumentError(absl::StrCat(kField, " ", teacher, " tells ", labels.size(),
                                                   " classes apart, and the data has ",
                                                   classes.size()));
  }
  const auto [label, name] = std::mismatch(labels.begin(), labels.end(), classes.begin());
  if (label == labels.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      kField, " ", teacher, ": its class ", label - labels.begin(), " is '", *label,
      "', and the data's '", *name, "'; a teacher's classes are the data's, in their order"));
}

}  // namespace

absl::StatusOr<fs::path> TeacherDirectory(const vit::v1::TrainingSpec& spec,
                                          const TrainingEnvironment& environment,
                                          const fs::path& run_directory) {
  const fs::path kept = KeptTeacher(run_directory);
  if (!run_directory.empty() && fs::exists(kept)) return kept;
  return ReferencedDirectory(kField, spec.distillation().teacher(), environment);
}

absl::StatusOr<int64_t> ResolveTeacher(const TrainingEnvironment& environment, const DataSet& data,
                                       vit::v1::TrainingSpec* spec) {
  if (!spec->has_distillation()) return 0;
  DistillationConfig* config = spec->mutable_distillation();
  if (config->teacher().empty()) {
    if (config->has_type() || config->has_weight() || config->has_temperature()) {
      return absl::InvalidArgumentError(
          "distillation is set without distillation.teacher; name one, such as model:NAME");
    }
    spec->clear_distillation();
    return 0;
  }
  if (!config->has_type()) config->set_type(vit::v1::DISTILLATION_TYPE_HARD);
  if (!config->has_weight()) config->set_weight(0.5);
  if (config->type() == vit::v1::DISTILLATION_TYPE_SOFT && !config->has_temperature()) {
    config->set_temperature(1);
  }
  VIT_RETURN_IF_ERROR(Validate(*config, spec->loss()));
  if (environment.run_directory.empty() || !fs::exists(KeptTeacher(environment.run_directory))) {
    VIT_ASSIGN_OR_RETURN(*config->mutable_teacher(),
                         PinReference(kField, config->teacher(), environment));
  }
  VIT_ASSIGN_OR_RETURN(const fs::path directory,
                       TeacherDirectory(*spec, environment, environment.run_directory));
  VIT_ASSIGN_OR_RETURN(const ModelDescription description, ReadModelDescription(directory));
  VIT_RETURN_IF_ERROR(CheckLabels(config->teacher(), description.labels, data));
  std::error_code code;
  const auto bytes = fs::file_size(directory / "model.safetensors", code);
  if (code) return absl::ErrnoToStatus(code.value(), absl::StrCat(kField, " ", config->teacher()));
  return static_cast<int64_t>(bytes);
}

absl::Status KeepTeacher(const vit::v1::TrainingSpec& spec, const TrainingEnvironment& environment,
                         const fs::path& run_directory) {
  if (!spec.has_distillation()) return absl::OkStatus();
  VIT_ASSIGN_OR_RETURN(const fs::path from,
                       ReferencedDirectory(kField, spec.distillation().teacher(), environment));
  return WriteDirectoryAtomically(KeptTeacher(run_directory),
                                  [&](const fs::path& to) -> absl::Status {
                                    for (const char* file : kFiles)
                                      VIT_RETURN_IF_ERROR(LinkOrCopy(from / file, to / file));
                                    return absl::OkStatus();
                                  });
}

}  // namespace vit
