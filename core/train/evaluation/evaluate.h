// A pass over the validation split.
#ifndef VIT_CORE_TRAIN_EVALUATION_EVALUATE_H_
#define VIT_CORE_TRAIN_EVALUATION_EVALUATE_H_

#include <functional>
#include <stop_token>

#include "absl/status/statusor.h"
#include "core/data/loader/loader.h"
#include "core/model/vision_transformer.h"
#include "core/train/batch_upload.h"
#include "core/train/evaluation/classification_metrics.h"

namespace vit {

struct EvaluationOptions {
  int batch_size = 128;
  int top_k = 1;
  int loader_threads = 1;
  Device device = Device::Cpu();  // where `model` is
  bool bfloat16 = false;
  std::function<void(double progress)> on_progress = [](double) {};
};

// Evaluates `model`, which is in evaluation mode meanwhile and in training mode afterwards.
// CANCELLED once `stop` is requested; INVALID_ARGUMENT if no image can be read, or if more are
// unreadable than data.max_bad_fraction allows.
absl::StatusOr<ClassificationMetrics> Evaluate(VisionTransformerImpl& model, SampleReader* reader,
                                               BatchUpload* upload,
                                               const EvaluationOptions& options,
                                               std::stop_token stop);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_EVALUATION_EVALUATE_H_
