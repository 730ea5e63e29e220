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
                           const StepCounts& steps, Teacher* teacher)
    : spec_(spec),
      model_(model),
      teacher_(teacher),
      steps_(steps),
      swa_(SwaStepsOf(spec.averaging(), steps.per_epoch)),
      device_(model->parameters().front().device()),
      has_dropout_(HasDropout(spec.model())),
      loss_(spec.loss(), spec.label_smoothing(), spec.model().num_classes(), device_),
      groups_(FlattenParameters(*model, spec.optimizer())),
      optimizer_(Optimizer::Create(spec.optimizer(), &groups_)),
      averages_(spec.averaging(), steps.per_epoch, model, &groups_) {
  const auto scalar = at::TensorOptions().device(device_);
  loss_sum_ = at::zeros({}, scalar.dtype(at::kDouble));
  correct_ = at::zeros({}, scalar.dtype(at::kLong));
  bad_step_ = at::full({}, -1, scalar.dtype(at::kLong));
  grad_norm_ = at::zeros({}, scalar.dtype(at::kFloat));
}

double TrainingStep::LearningRateAt(int64_t step) const {
  const double scheduled =
      LearningRate(spec_.schedule(), spec_.optimizer().learning_rate(), steps_, step);
  return swa_.has_value() ? SwaLearningRate(spec_.averaging(), *swa_, scheduled, step) : scheduled;
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
                       const std::vector<int>& slots, int batch_size, int64_t step,
                       absl::FunctionRef<void()> give_way) {
  const int64_t count = images.size(0);
  for (ParameterGroup& group : groups_) group.gradients.zero_();
  const Examples examples = MakeExamples(spec_, steps_, images, labels, slots, batch_size, step);
  const at::Tensor weight = loss_.Weight(examples.targets);
  at::Tensor step_loss = at::zeros({}, loss_sum_.options());
  const int micro_size = batch_size / spec_.accumulation_steps();
  int64_t begin = 0;
  for (int micro = 0; micro < spec_.accumulation_steps(); ++micro) {
    // A micro-batch consists of places, not images, so that an unreadable image does not shift the
    // others.
    int64_t end = begin;
    while (end < count && slots[end] < (micro + 1) * micro_size) ++end;
    if (end == begin) continue;
    give_way();
    SeedDropout(micro, step);
    AutocastGuard autocast(spec_.precision() == vit::v1::PRECISION_BFLOAT16, device_.type());
    const Targets targets = examples.targets.Slice(begin, end);
    const auto [loss, scores] =
        RunForward(examples.images.slice(0, begin, end), targets, weight, count);
    loss.backward();
    torch::NoGradGuard no_grad;
    step_loss += loss.detach();
    const at::Tensor expected = targets.parts.defined() ? targets.parts.argmax(1) : targets.labels;
    correct_ += scores.argmax(1).eq(expected).sum();
    begin = end;
  }
  torch::NoGradGuard no_grad;
  Update(step_loss, step);
  averages_.Update(step);
  loss_sum_ += step_loss * static_cast<double>(count);
}

TrainingStep::Forward TrainingStep::RunForward(const at::Tensor& images, const Targets& targets,
                                               const at::Tensor& weight, int64_t count) {
  if (teacher_ == nullptr) {
    const at::Tensor logits = model_->forward(images).to(at::kFloat);  // [micro, K]
    return {loss_.Sum(logits, targets) / weight, logits.detach()};
  }
  auto [logits, distilled] = model_->ForwardHeads(model_->ForwardFeatures(images));
  logits = logits.to(at::kFloat);
  distilled = distilled.defined() ? distilled.to(at::kFloat) : logits;
  const vit::v1::DistillationConfig& config = spec_.distillation();
  const at::Tensor learned =
      DistillationSum(config, distilled, teacher_->Logits(images)) / static_cast<double>(count);
  return {(1 - config.weight()) * loss_.Sum(logits, targets) / weight + config.weight() * learned,
          (logits + distilled).detach()};
}

// Dropout draws from LibTorch's generator, which is seeded again from (seed, step, micro-batch);
// nothing else draws from it.
void TrainingStep::SeedDropout(int micro_batch, int64_t step) {
  if (!has_dropout_) return;
  torch::manual_seed(
      CounterRandom(spec_.seed(), RandomPurpose::kModelStep, micro_batch, step).NextUint64());
}

// Clipping and the check for finite numbers stay on the device: the optimizer divides the gradient
// by `scale` and does nothing if `bad` is set.
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
