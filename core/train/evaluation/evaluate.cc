#include "core/train/evaluation/evaluate.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/autocast.h"

namespace vit {

absl::StatusOr<ClassificationMetrics> Evaluate(VisionTransformerImpl& model, SampleReader* reader,
                                               BatchUpload* upload,
                                               const EvaluationOptions& options,
                                               std::stop_token stop) {
  struct TrainingModeAgain {
    VisionTransformerImpl& model;
    ~TrainingModeAgain() { model.train(); }
  } again{model};
  model.eval();
  torch::NoGradGuard no_grad;
  const c10::Device device = model.parameters().front().device();
  EvalLoader loader(reader, {.split = DataSplit::kValidation,
                             .batch_size = options.batch_size,
                             .threads = options.loader_threads,
                             .device = options.device});
  const double total = static_cast<double>(reader->data().size(DataSplit::kValidation));
  MetricAccumulator metrics(model.config().num_classes(), options.top_k, device);
  int64_t seen = 0;
  while (true) {
    VIT_ASSIGN_OR_RETURN(Batch batch, loader.Next(stop));
    if (batch.size == 0) break;
    seen += batch.size;
    options.on_progress(static_cast<double>(seen) / total);
    if (batch.labels.empty()) continue;
    AutocastGuard autocast(options.bfloat16, device.type());
    const auto [images, labels] = (*upload)(&batch);
    metrics.Add(model.forward(images).to(at::kFloat), labels);
  }
  ClassificationMetrics result = metrics.Compute();
  if (result.samples == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("none of the ", seen,
                     " validation images can be read; repair or replace them "
                     "(vitctl inspect-data ",
                     reader->config().source(), " says why)"));
  }
  return result;
}

}  // namespace vit
