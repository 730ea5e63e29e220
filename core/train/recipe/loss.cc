#include "core/train/recipe/loss.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace vit {

Targets Targets::Slice(int64_t begin, int64_t end) const {
  return {labels.slice(0, begin, end), parts.defined() ? parts.slice(0, begin, end) : parts};
}

at::Tensor OneHot(const at::Tensor& labels, int num_classes) {
  return at::zeros({labels.size(0), num_classes}, labels.options().dtype(at::kFloat))
      .scatter_(1, labels.unsqueeze(1), 1);
}

Loss::Loss(const vit::v1::LossConfig& config, double label_smoothing, int num_classes,
           c10::Device device)
    : config_(config), label_smoothing_(label_smoothing), num_classes_(num_classes) {
  const auto& weights = config.class_weights();
  if (weights.empty()) return;
  class_weights_ = at::tensor(std::vector<double>(weights.begin(), weights.end()))
                       .to(at::TensorOptions().device(device).dtype(at::kFloat));
}

at::Tensor Loss::WeightOfImages(const Targets& targets) const {
  if (!class_weights_.defined()) {
    return at::ones(targets.labels.sizes(), targets.labels.options().dtype(at::kFloat));
  }
  // Not mv, which autocast computes in bfloat16 on CUDA.
  return targets.parts.defined() ? (targets.parts * class_weights_).sum(1)
                                 : class_weights_.index_select(0, targets.labels);
}

at::Tensor Loss::Weight(const Targets& targets) const {
  if (class_weights_.defined()) return WeightOfImages(targets).sum();
  return at::full({}, static_cast<double>(targets.labels.size(0)),
                  targets.labels.options().dtype(at::kFloat));
}

at::Tensor Loss::Sum(const at::Tensor& logits, const Targets& targets) const {
  const bool plain = config_.type() == vit::v1::LOSS_TYPE_CROSS_ENTROPY &&
                     !targets.parts.defined() && config_.hardest_fraction() == 1;
  if (plain) {  // in one kernel
    return at::cross_entropy_loss(logits, targets.labels, class_weights_, at::Reduction::Sum,
                                  /*ignore_index=*/-100, label_smoothing_);
  }
  const at::Tensor losses = OfImages(logits, targets);
  if (config_.hardest_fraction() == 1) return losses.sum();
  const auto count = static_cast<double>(losses.size(0));
  const int64_t kept = std::max<int64_t>(1, std::llround(config_.hardest_fraction() * count));
  const auto [hardest, places] = losses.topk(kept);
  const at::Tensor weights = WeightOfImages(targets);
  return hardest.sum() * (weights.sum() / weights.index_select(0, places).sum());
}

at::Tensor Loss::Smoothed(const Targets& targets) const {
  const at::Tensor parts =
      targets.parts.defined() ? targets.parts : OneHot(targets.labels, num_classes_);
  if (label_smoothing_ == 0) return parts;
  return parts * (1 - label_smoothing_) + label_smoothing_ / num_classes_;
}

at::Tensor Loss::OfImages(const at::Tensor& logits, const Targets& targets) const {
  at::Tensor parts = Smoothed(targets);
  if (config_.type() == vit::v1::LOSS_TYPE_BINARY_CROSS_ENTROPY) {
    if (config_.has_binary_threshold()) {
      parts = parts.gt(config_.binary_threshold()).to(at::kFloat);
    }
    return at::binary_cross_entropy_with_logits(logits, parts, class_weights_, {},
                                                at::Reduction::None)
        .mean(1);
  }
  const at::Tensor log_p = logits.log_softmax(1);
  at::Tensor terms = parts * log_p;
  if (class_weights_.defined()) terms = terms * class_weights_;
  if (config_.type() == vit::v1::LOSS_TYPE_FOCAL) {
    // If the model is certain, 1 - p may round to 0, where a power below 1 has no derivative.
    terms = terms * (-log_p.expm1()).clamp_min(1e-7).pow(config_.focal_gamma());
  }
  return -terms.sum(1);
}

at::Tensor DistillationSum(const vit::v1::DistillationConfig& config, const at::Tensor& student,
                           const at::Tensor& teacher) {
  if (config.type() == vit::v1::DISTILLATION_TYPE_HARD) {
    return at::cross_entropy_loss(student, teacher.argmax(1), {}, at::Reduction::Sum);
  }
  const double t = config.temperature();
  return t * t *
         at::kl_div((student / t).log_softmax(1), (teacher / t).log_softmax(1), at::Reduction::Sum,
                    /*log_target=*/true);
}

}  // namespace vit
