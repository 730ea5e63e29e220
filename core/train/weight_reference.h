// What "run:ID" and "model:NAME" mean where a specification names weights: init, a teacher.
#ifndef VIT_CORE_TRAIN_WEIGHT_REFERENCE_H_
#define VIT_CORE_TRAIN_WEIGHT_REFERENCE_H_

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/train/resolve_spec.h"

namespace vit {

// The step of a checkpoint folder, step-000001000. INVALID_ARGUMENT for another name.
absl::StatusOr<int64_t> CheckpointStep(const std::filesystem::path& directory);

// Whether it is run:... or model:..., rather than a path.
bool IsWeightReference(absl::string_view reference);

// "run:ID" with the checkpoint that it means now, as "run:ID@STEP", and "model:NAME" with the
// version, as "model:NAME@VERSION", so that the run can be repeated. `field` names the reference in
// messages. FAILED_PRECONDITION where the run has no checkpoint yet, NOT_FOUND where there is no
// such run or model, INVALID_ARGUMENT for anything else.
absl::StatusOr<std::string> PinReference(absl::string_view field, const std::string& reference,
                                         const TrainingEnvironment& environment);

// The model directory that a pinned reference names, the checksum of its weights verified. Statuses
// as above, and NOT_FOUND where the checkpoint has gone since.
absl::StatusOr<std::filesystem::path> ReferencedDirectory(absl::string_view field,
                                                          const std::string& reference,
                                                          const TrainingEnvironment& environment);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_WEIGHT_REFERENCE_H_
