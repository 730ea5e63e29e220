#include "core/train/optimizer_config.h"

#include <cmath>

#include "core/train/spec_fields.h"

namespace vit {

void FillOptimizerDefaults(vit::v1::OptimizerConfig* o) {
  using O = vit::v1::OptimizerConfig;
  Fill(o->has_type(), o, &O::set_type, vit::v1::OPTIMIZER_TYPE_ADAMW);
  Fill(o->has_learning_rate(), o, &O::set_learning_rate, 1e-3);
  Fill(o->has_weight_decay(), o, &O::set_weight_decay, 0.05);
  if (o->type() == vit::v1::OPTIMIZER_TYPE_ADAMW) {
    Fill(o->has_beta1(), o, &O::set_beta1, 0.9);
    Fill(o->has_beta2(), o, &O::set_beta2, 0.999);
    Fill(o->has_eps(), o, &O::set_eps, 1e-8);
  } else {
    Fill(o->has_momentum(), o, &O::set_momentum, 0.9);
    Fill(o->has_nesterov(), o, &O::set_nesterov, false);
  }
}

absl::Status ValidateOptimizerConfig(const vit::v1::OptimizerConfig& o) {
  if (!(o.learning_rate() > 0 && std::isfinite(o.learning_rate()))) {
    return BadField("optimizer.learning_rate", o.learning_rate(), "a number above 0");
  }
  if (!(o.weight_decay() >= 0 && std::isfinite(o.weight_decay()))) {
    return BadField("optimizer.weight_decay", o.weight_decay(), "at least 0");
  }
  const bool adamw = o.type() == vit::v1::OPTIMIZER_TYPE_ADAMW;
  if (adamw && (o.has_momentum() || o.has_nesterov())) {
    return absl::InvalidArgumentError(
        "optimizer.momentum and optimizer.nesterov belong to sgd; optimizer.type is adamw (its "
        "mean is optimizer.beta1)");
  }
  if (!adamw && (o.has_beta1() || o.has_beta2() || o.has_eps())) {
    return absl::InvalidArgumentError(
        "optimizer.beta1, beta2 and eps belong to adamw; optimizer.type is sgd (its mean is "
        "optimizer.momentum)");
  }
  if (adamw) {
    if (!(o.beta1() >= 0 && o.beta1() < 1))
      return BadField("optimizer.beta1", o.beta1(), "at least 0 and below 1");
    if (!(o.beta2() >= 0 && o.beta2() < 1))
      return BadField("optimizer.beta2", o.beta2(), "at least 0 and below 1");
    if (!(o.eps() > 0 && std::isfinite(o.eps())))
      return BadField("optimizer.eps", o.eps(), "a number above 0");
  } else {
    if (!(o.momentum() >= 0 && o.momentum() < 1)) {
      return BadField("optimizer.momentum", o.momentum(), "at least 0 and below 1");
    }
    if (o.nesterov() && o.momentum() == 0) {
      return absl::InvalidArgumentError("optimizer.nesterov needs optimizer.momentum above 0");
    }
  }
  return absl::OkStatus();
}

}  // namespace vit
