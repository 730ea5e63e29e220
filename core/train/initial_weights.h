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

// Where the weights that `spec.init` (effective, not empty) names lie: in `run_directory`, which
// keeps them if they are another run's or the repository's; else those of `pinned`; else a file or
// folder under one of `data_roots`. `run_directory` may be empty, `pinned` null.
absl::StatusOr<std::filesystem::path> FindInitialWeights(const vit::v1::TrainingSpec& spec,
                                                         const std::filesystem::path& run_directory,
                                                         const ServableModel* pinned,
                                                         absl::Span<const std::string> data_roots);

// Checks that the weights at `path`, which `spec.init` names, can be read and fit the model;
// INVALID_ARGUMENT says what does not. Sets init_prefix and init_weights to what is taken of the
// file.
absl::Status ResolveInitialWeights(const std::filesystem::path& path,
                                   absl::Span<const std::string> data_roots,
                                   vit::v1::TrainingSpec* spec);

// Whether the run keeps the weights that it starts from.
bool KeepsInitialWeights(const std::filesystem::path& run_directory);

// Keeps them in the run's folder (a hard link), with their labels: the other run's or the model's
// deletion no longer matters to a run that waits for its turn.
absl::Status KeepInitialWeights(const ServableModel& model,
                                const std::filesystem::path& run_directory);

// Copies the weights at `path`, found by FindInitialWeights, into `model`, whose head's rows are
// for `classes`. Returns a note on what was left out, such as another head.
absl::StatusOr<std::string> CopyInitialWeights(const std::filesystem::path& path,
                                               const vit::v1::TrainingSpec& spec,
                                               absl::Span<const std::string> data_roots,
                                               const std::vector<std::string>& classes,
                                               VisionTransformerImpl& model);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_INITIAL_WEIGHTS_H_
