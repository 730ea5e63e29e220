#include "core/train/evaluate.h"

#include "core/base/status.h"
#include "core/model/autocast.h"

namespace vit {

absl::StatusOr<EvaluationResult> Evaluate(VisionTransformerImpl& model, SampleReader* reader,
                                          const Normalizer& normalize,
                                          const EvaluationOptions& options, std::stop_token stop) {
  struct TrainingModeAgain {
    VisionTransformerImpl& model;
    ~TrainingModeAgain() { model.train(); }
  } again{model};
  model.eval();
  torch::NoGradGuard no_grad;
  const c10::DeviceType device = model.parameters().front().device().type();
  EvalLoader loader(reader, {.split = DataSplit::kValidation,
                             .batch_size = options.batch_size,
                             .threads = options.loader_threads});
  const double total = static_cast<double>(reader->data().size(DataSplit::kValidation));
  EvaluationResult result;
  double loss_sum = 0;
  int64_t correct = 0, seen = 0;
  while (true) {
    VIT_ASSIGN_OR_RETURN(const Batch batch, loader.Next(stop));
    if (batch.size == 0) break;
    seen += batch.size;
    options.on_progress(static_cast<double>(seen) / total);
    const int64_t count = static_cast<int64_t>(batch.labels.size());
    if (count == 0) continue;
    AutocastGuard autocast(options.bfloat16, device);
    const at::Tensor logits =
        model.forward(normalize(batch.images.data(), count, batch.image_size)).to(at::kFloat);
    const at::Tensor labels = at::tensor(batch.labels).to(logits.device());
    loss_sum += at::cross_entropy_loss(logits, labels, {}, at::Reduction::Sum).item<double>();
    correct += logits.argmax(1).eq(labels).sum().item<int64_t>();
    result.samples += count;
  }
  if (result.samples == 0)
    return absl::InvalidArgumentError("no picture of the validation split can be read");
  result.loss = loss_sum / static_cast<double>(result.samples);
  result.accuracy = static_cast<double>(correct) / static_cast<double>(result.samples);
  return result;
}

}  // namespace vit
