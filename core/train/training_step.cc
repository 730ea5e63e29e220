#include "core/train/training_step.h"

#include <torch/torch.h>

#include "core/base/random.h"
#include "core/model/autocast.h"

namespace vit {
namespace {

bool HasDropout(const vit::v1::ModelConfig& m) {
  return m.drop_rate() + m.pos_drop_rate() + m.proj_drop_rate() + m.attn_drop_rate() +
             m.attn_mask_rate() + m.drop_path_rate() >
         0;
}

}  // namespace

TrainingStep::TrainingStep(const vit::v1::TrainingSpec& spec, VisionTransformerImpl* model,
                           const StepCounts& steps)
    : spec_(spec),
      model_(model),
      steps_(steps),
      device_(model->parameters().front().device()),
      has_dropout_(HasDropout(spec.model())),
      groups_(FlattenParameters(*model, spec.optimizer())),
      optimizer_(Optimizer::Create(spec.optimizer(), &groups_)) {
  const auto scalar = at::TensorOptions().device(device_);
  loss_sum_ = at::zeros({}, scalar.dtype(at::kDouble));
  correct_ = at::zeros({}, scalar.dtype(at::kLong));
  bad_step_ = at::full({}, -1, scalar.dtype(at::kLong));
  grad_norm_ = at::zeros({}, scalar.dtype(at::kFloat));
}

double TrainingStep::LearningRateAt(int64_t step) const {
  return LearningRate(spec_.schedule(), spec_.optimizer().learning_rate(), steps_, step);
}

void TrainingStep::SetSums(double loss_sum, int64_t correct) {
  loss_sum_.fill_(loss_sum);
  correct_.fill_(correct);
}

std::optional<int64_t> TrainingStep::FirstBadStep() const {
  const int64_t step = bad_step_.item<int64_t>();
  return step < 0 ? std::nullopt : std::optional<int64_t>(step);
}

void TrainingStep::Run(const at::Tensor& images, const at::Tensor& labels,
                       const std::vector<int>& slots, int batch_size, int64_t step) {
  const int64_t count = images.size(0);
  if (count == 0) return;  // every picture unreadable
  for (ParameterGroup& group : groups_) group.gradients.zero_();
  at::Tensor step_loss = at::zeros({}, loss_sum_.options());
  const int micro_size = batch_size / spec_.accumulation_steps();
  int64_t begin = 0;
  for (int micro = 0; micro < spec_.accumulation_steps(); ++micro) {
    // Places, not pictures, make a micro-batch: an unreadable one shifts no other.
    int64_t end = begin;
    while (end < count && slots[end] < (micro + 1) * micro_size) ++end;
    if (end == begin) continue;
    SeedDropout(micro, step);
    AutocastGuard autocast(spec_.precision() == vit::v1::PRECISION_BFLOAT16, device_.type());
    const at::Tensor target = labels.slice(0, begin, end);
    const at::Tensor logits =
        model_->forward(images.slice(0, begin, end)).to(at::kFloat);  // [micro, K]
    const at::Tensor loss = at::cross_entropy_loss(logits, target, {}, at::Reduction::Sum,
                                                   /*ignore_index=*/-100, spec_.label_smoothing()) /
                            static_cast<double>(count);
    loss.backward();
    torch::NoGradGuard no_grad;
    step_loss += loss.detach();
    correct_ += logits.detach().argmax(1).eq(target).sum();
    begin = end;
  }
  torch::NoGradGuard no_grad;
  Update(step_loss, step);
  loss_sum_ += step_loss * static_cast<double>(count);
}

// Dropout draws from LibTorch's generator, which starts anew from (seed, step, micro-batch);
// nothing else draws from it.
void TrainingStep::SeedDropout(int micro_batch, int64_t step) {
  if (!has_dropout_) return;
  torch::manual_seed(
      CounterRandom(spec_.seed(), RandomPurpose::kModelStep, micro_batch, step).NextUint64());
}

// Clipping and the check for finite numbers stay on the device: the optimizer divides the gradient
// by `scale` and does nothing where `bad` is set.
void TrainingStep::Update(const at::Tensor& loss, int64_t step) {
  at::Tensor squares = at::zeros({}, grad_norm_.options());
  for (const ParameterGroup& group : groups_) squares += group.gradients.dot(group.gradients);
  grad_norm_ = squares.sqrt();
  const at::Tensor bad = at::isfinite(grad_norm_ + loss).logical_not();
  bad_step_ = at::where(bad.logical_and(bad_step_ < 0), at::full_like(bad_step_, step), bad_step_);
  const double clip = spec_.clip_grad_norm();
  // torch.nn.utils.clip_grad_norm_'s coefficient: min(1, clip / (norm + 1e-6)).
  const at::Tensor scale =
      clip > 0 ? ((grad_norm_ + 1e-6) / clip).clamp_min(1) : at::ones({}, grad_norm_.options());
  optimizer_->Step(LearningRateAt(step), scale, bad.to(at::kFloat));
}

}  // namespace vit
