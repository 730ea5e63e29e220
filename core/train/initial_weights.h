// The weights that TrainingSpec.init names.
#ifndef VIT_CORE_TRAIN_INITIAL_WEIGHTS_H_
#define VIT_CORE_TRAIN_INITIAL_WEIGHTS_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/models/servable_model.h"
#include "vit/v1/training.pb.h"

namespace vit {

class VisionTransformerImpl;

// Finds the weights that `spec.init` (effective, not empty) names: in `run_directory`, which keeps
// those of another run or of the repository; else those of `pinned`; else a file or folder under
// one of `data_roots`. `run_directory` may be empty, `pinned` null.
absl::StatusOr<std::filesystem::path> FindInitialWeights(const vit::v1::TrainingSpec& spec,
                                                         const std::filesystem::path& run_directory,
                                                         const ServableModel* pinned,
                                                         absl::Span<const std::string> data_roots);

// Checks that the weights at `path`, which `spec.init` names, can be read and fit the model;
// INVALID_ARGUMENT names what does not fit. Sets init_prefix and init_weights to what is used of
// the file.
absl::Status ResolveInitialWeights(const std::filesystem::path& path,
                                   absl::Span<const std::string> data_roots,
                                   vit::v1::TrainingSpec* spec);

// Whether the run's folder keeps its initial weights.
bool KeepsInitialWeights(const std::filesystem::path& run_directory);

// Keeps the weights in the run's folder (as a hard link), with their labels, so that a queued run
// still has them if the other run or the model is deleted.
absl::Status KeepInitialWeights(const ServableModel& model,
                                const std::filesystem::path& run_directory);

// Copies the weights at `path`, found by FindInitialWeights, into `model`, whose head's rows are
// for `classes`. Returns a note on what was left out, such as a head for other classes.
absl::StatusOr<std::string> CopyInitialWeights(const std::filesystem::path& path,
                                               const vit::v1::TrainingSpec& spec,
                                               absl::Span<const std::string> data_roots,
                                               const std::vector<std::string>& classes,
                                               VisionTransformerImpl& model);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_INITIAL_WEIGHTS_H_
