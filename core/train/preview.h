// Draws the images that training sees.
#ifndef VIT_CORE_TRAIN_PREVIEW_H_
#define VIT_CORE_TRAIN_PREVIEW_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "core/train/resolve_spec.h"

namespace vit {

// Draws what a run of the request's spec would see, on its own thread. Returns the statuses of
// PlanPreview; INVALID_ARGUMENT names a count, step or number of columns that is out of range.
absl::StatusOr<vit::v1::PreviewDataResponse> PreviewData(const vit::v1::PreviewDataRequest& request,
                                                         const TrainingEnvironment& environment);

// Returns a PNG with the first `count` images of update `step` (from 0) exactly as the model would
// see them, augmented, erased and mixed, with their labels and the labels' parts, in rows of
// `columns`. `count` is at most the batch size. INVALID_ARGUMENT if none of them can be read.
// Computes: call it on a thread of ComputeBudget::StartThread.
absl::StatusOr<std::string> PreviewTraining(const ResolvedSpec& resolved, int64_t step, int count,
                                            int columns);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_PREVIEW_H_
