#include "core/train/recipe/resolve_teacher.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/weights/model_directory.h"

namespace vit {

namespace fs = std::filesystem;

absl::Status ValidateDistillation(const vit::v1::TrainingSpec& spec) {
  const std::string& teacher = spec.distillation().teacher();
  if (!IsPrefixedModelRef(teacher)) {
    return absl::InvalidArgumentError(
        absl::StrCat("distillation.teacher '", teacher,
                     "': expected model:NAME or run:ID; vitctl import adds a file to the "
                     "repository"));
  }
  if (spec.loss().hardest_fraction() < 1) {
    return absl::InvalidArgumentError(
        "loss.hardest_fraction picks the images whose labels are hardest, which does not apply to "
        "a teacher's answers; set it to 1, or remove distillation.teacher");
  }
  return absl::OkStatus();
}

absl::Status CheckTeacher(const std::string& teacher, const fs::path& directory,
                          const std::vector<std::string>& classes) {
  VIT_ASSIGN_OR_RETURN(const ModelDescription description, ReadModelDescription(directory));
  const std::vector<std::string>& labels = description.labels;
  if (labels.size() != classes.size()) {
    return absl::InvalidArgumentError(absl::StrCat("distillation.teacher ", teacher, " has ",
                                                   labels.size(), " classes, the data has ",
                                                   classes.size()));
  }
  const auto [label, name] = std::mismatch(labels.begin(), labels.end(), classes.begin());
  if (label == labels.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "distillation.teacher ", teacher, ": its class ", label - labels.begin(), " is '", *label,
      "', the data's is '", *name, "'; a teacher needs the data's classes, in the same order"));
}

fs::path KeptTeacher(const fs::path& run_directory) { return run_directory / "teacher"; }

absl::Status KeepTeacher(const ServableModel& teacher, const fs::path& run_directory) {
  return WriteDirectoryAtomically(KeptTeacher(run_directory), [&](const fs::path& to) {
    return LinkFiles(teacher.directory, to, ModelFiles());
  });
}

}  // namespace vit
