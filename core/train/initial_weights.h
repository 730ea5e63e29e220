// The weights that TrainingSpec.init names.
#ifndef VIT_CORE_TRAIN_INITIAL_WEIGHTS_H_
#define VIT_CORE_TRAIN_INITIAL_WEIGHTS_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/train/resolve_spec.h"

namespace vit {

class VisionTransformerImpl;

// Whether the weights of `spec.init` (effective) exist, may be read and fit the model; statuses as
// ResolveSpec's. Sets init_prefix and init_weights to what is taken of the file.
absl::Status ResolveInitialWeights(const TrainingEnvironment& environment,
                                   vit::v1::TrainingSpec* spec);

// Where a run keeps the weights that it starts from, if they are another run's or the repository's.
std::filesystem::path KeptInitialWeights(const std::filesystem::path& run_directory);

// Keeps them there (a hard link), with their labels: the other run's or the model's deletion no
// longer matters to a run that waits for its turn. Nothing where `spec.init` (effective) is a file.
absl::Status KeepInitialWeights(const vit::v1::TrainingSpec& spec,
                                const TrainingEnvironment& environment,
                                const std::filesystem::path& run_directory);

// Copies them into `model`, whose head's rows are for `classes`, from where `run_directory` keeps
// them if it does. Returns a note on what was left out, such as another head.
absl::StatusOr<std::string> CopyInitialWeights(const vit::v1::TrainingSpec& spec,
                                               const TrainingEnvironment& environment,
                                               const std::filesystem::path& run_directory,
                                               const std::vector<std::string>& classes,
                                               VisionTransformerImpl& model);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_INITIAL_WEIGHTS_H_
