// Merges what a person wrote over what is already set.
#ifndef VIT_CORE_SPEC_MERGE_SPEC_H_
#define VIT_CORE_SPEC_MERGE_SPEC_H_

#include "absl/status/statusor.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Merges `spec` over `base` by presence. Of fields that exclude each other, what `spec` sets
// replaces what `base` set.
void MergeSpec(const vit::v1::TrainingSpec& spec, vit::v1::TrainingSpec* base);

// Merges the changes of a ResumeRunRequest over a run's effective spec; the result must then be
// resolved. INVALID_ARGUMENT names the fields that a run keeps but `changes` sets differently, and
// says which may change.
absl::StatusOr<vit::v1::TrainingSpec> ChangeSpec(const vit::v1::TrainingSpec& effective,
                                                 const vit::v1::TrainingSpec& changes);

}  // namespace vit

#endif  // VIT_CORE_SPEC_MERGE_SPEC_H_
