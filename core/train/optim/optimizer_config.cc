#include "core/train/optim/optimizer_config.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/train/spec_fields.h"

namespace vit {
namespace {

using ::vit::v1::OptimizerConfig;

constexpr int kDefaultBaseBatchSize = 256;

constexpr uint32_t kAdamw = TypeBit(vit::v1::OPTIMIZER_TYPE_ADAMW);
constexpr uint32_t kSgd = TypeBit(vit::v1::OPTIMIZER_TYPE_SGD);
constexpr uint32_t kAdam = TypeBit(vit::v1::OPTIMIZER_TYPE_ADAM);
constexpr uint32_t kLamb = TypeBit(vit::v1::OPTIMIZER_TYPE_LAMB);
constexpr uint32_t kLion = TypeBit(vit::v1::OPTIMIZER_TYPE_LION);
constexpr FieldOfTypes kFieldsOfTypes[] = {
    {"beta1", kAdamw | kAdam | kLamb | kLion},
    {"beta2", kAdamw | kAdam | kLamb | kLion},
    {"eps", kAdamw | kAdam | kLamb},
    {"momentum", kSgd},
    {"nesterov", kSgd},
    {"always_adapt", kLamb},
};

absl::Status CheckAboveZero(absl::string_view field, double value) {
  if (value > 0 && std::isfinite(value)) return absl::OkStatus();
  return BadField(absl::StrCat("optimizer.", field), value, "a number above 0");
}

absl::Status CheckDecayRate(absl::string_view field, bool set, double value) {
  if (!set || (value >= 0 && value < 1)) return absl::OkStatus();
  return BadField(absl::StrCat("optimizer.", field), value, "at least 0 and below 1");
}

// A multiplier of 0 would still cost gradient, state and time.
absl::Status CheckRateMultiplier(absl::string_view field, double value) {
  if (value == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("optimizer.", field,
                     " is 0; expected a number above 0 (name parameters that "
                     "are to keep their values in optimizer.frozen)"));
  }
  return CheckAboveZero(field, value);
}

absl::Status ValidateLearningRate(int batch_size, const OptimizerConfig& o) {
  if (!o.has_base_learning_rate()) {
    if (o.has_base_batch_size() || o.has_learning_rate_scaling()) {
      return absl::InvalidArgumentError(
          "optimizer.base_batch_size and optimizer.learning_rate_scaling belong to "
          "optimizer.base_learning_rate, which is not set; set it instead of "
          "optimizer.learning_rate");
    }
    return CheckAboveZero("learning_rate", o.learning_rate());
  }
  VIT_RETURN_IF_ERROR(CheckAboveZero("base_learning_rate", o.base_learning_rate()));
  if (o.base_batch_size() < 1) {
    return BadField("optimizer.base_batch_size", o.base_batch_size(), "at least 1");
  }
  const double scaled = ScaledLearningRate(batch_size, o);
  if (std::abs(o.learning_rate() - scaled) <= 1e-9 * scaled) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "optimizer.learning_rate is ", o.learning_rate(), ", but optimizer.base_learning_rate ",
      o.base_learning_rate(), " at ", o.base_batch_size(), " pictures means ", scaled, " at ",
      batch_size, "; leave one of the two out"));
}

absl::Status ValidateGroups(const OptimizerConfig& o) {
  for (int i = 0; i < o.groups_size(); ++i) {
    const vit::v1::ParameterGroupConfig& group = o.groups(i);
    const std::string path = absl::StrCat("groups[", i, "].");
    if (group.parameters().empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("optimizer.", path,
                       "parameters is empty; name the parameters that the group "
                       "is for, such as \"head.*\""));
    }
    VIT_RETURN_IF_ERROR(CheckRateMultiplier(absl::StrCat(path, "learning_rate_multiplier"),
                                            group.learning_rate_multiplier()));
    if (!(group.weight_decay_multiplier() >= 0 && std::isfinite(group.weight_decay_multiplier()))) {
      return BadField(absl::StrCat("optimizer.", path, "weight_decay_multiplier"),
                      group.weight_decay_multiplier(), "at least 0");
    }
  }
  if (!(o.layer_decay() > 0 && o.layer_decay() <= 1)) {
    return BadField("optimizer.layer_decay", o.layer_decay(), "above 0, at most 1");
  }
  return CheckRateMultiplier("encoder_learning_rate_multiplier",
                             o.encoder_learning_rate_multiplier());
}

}  // namespace

int OptimizerStateCopies(const OptimizerConfig& config) {
  switch (config.type()) {
    case vit::v1::OPTIMIZER_TYPE_SGD:
      return config.momentum() > 0 ? 1 : 0;
    case vit::v1::OPTIMIZER_TYPE_LION:
      return 1;
    default:
      return 2;
  }
}

double ScaledLearningRate(int batch_size, const OptimizerConfig& o) {
  const double ratio = static_cast<double>(batch_size) / o.base_batch_size();
  const bool root = o.learning_rate_scaling() == vit::v1::LEARNING_RATE_SCALING_SQUARE_ROOT;
  return o.base_learning_rate() * (root ? std::sqrt(ratio) : ratio);
}

void ClearReplacedOptimizer(const OptimizerConfig& over, OptimizerConfig* base) {
  if (base->has_base_learning_rate()) base->clear_learning_rate();
  if (over.has_base_learning_rate()) {
    base->clear_learning_rate();
  } else if (over.has_learning_rate()) {
    base->clear_base_learning_rate();
    base->clear_base_batch_size();
    base->clear_learning_rate_scaling();
  }
  if (over.has_type()) ClearFieldsOfOtherTypes(kFieldsOfTypes, over.type(), base);
}

void FillOptimizerDefaults(int batch_size, OptimizerConfig* o) {
  using O = OptimizerConfig;
  Fill(o->has_type(), o, &O::set_type, vit::v1::OPTIMIZER_TYPE_ADAMW);
  const auto type = o->type();
  const bool lion = type == vit::v1::OPTIMIZER_TYPE_LION;
  if (o->has_base_learning_rate()) {
    Fill(o->has_base_batch_size(), o, &O::set_base_batch_size, kDefaultBaseBatchSize);
    Fill(o->has_learning_rate_scaling(), o, &O::set_learning_rate_scaling,
         vit::v1::LEARNING_RATE_SCALING_LINEAR);
    Fill(o->has_learning_rate(), o, &O::set_learning_rate, ScaledLearningRate(batch_size, *o));
  }
  Fill(o->has_learning_rate(), o, &O::set_learning_rate, lion ? 1e-4 : 1e-3);
  Fill(o->has_weight_decay(), o, &O::set_weight_decay,
       type == vit::v1::OPTIMIZER_TYPE_ADAM ? 0 : 0.05);
  if (type == vit::v1::OPTIMIZER_TYPE_SGD) {
    Fill(o->has_momentum(), o, &O::set_momentum, 0.9);
    Fill(o->has_nesterov(), o, &O::set_nesterov, false);
  } else {
    Fill(o->has_beta1(), o, &O::set_beta1, 0.9);
    Fill(o->has_beta2(), o, &O::set_beta2, lion ? 0.99 : 0.999);
  }
  const bool lamb = type == vit::v1::OPTIMIZER_TYPE_LAMB;
  if ((TypeBit(type) & (kAdamw | kAdam | kLamb)) != 0) {
    Fill(o->has_eps(), o, &O::set_eps, lamb ? 1e-6 : 1e-8);
  }
  if (lamb) Fill(o->has_always_adapt(), o, &O::set_always_adapt, false);
  Fill(o->has_layer_decay(), o, &O::set_layer_decay, 1);
  Fill(o->has_encoder_learning_rate_multiplier(), o, &O::set_encoder_learning_rate_multiplier, 1);
  for (vit::v1::ParameterGroupConfig& group : *o->mutable_groups()) {
    using G = vit::v1::ParameterGroupConfig;
    Fill(group.has_learning_rate_multiplier(), &group, &G::set_learning_rate_multiplier, 1);
    Fill(group.has_weight_decay_multiplier(), &group, &G::set_weight_decay_multiplier, 1);
  }
}

absl::Status ValidateOptimizerConfig(int batch_size, const OptimizerConfig& o) {
  VIT_RETURN_IF_ERROR(CheckFieldsOfTypes(kFieldsOfTypes, o, "optimizer"));
  VIT_RETURN_IF_ERROR(ValidateLearningRate(batch_size, o));
  if (!(o.weight_decay() >= 0 && std::isfinite(o.weight_decay()))) {
    return BadField("optimizer.weight_decay", o.weight_decay(), "at least 0");
  }
  VIT_RETURN_IF_ERROR(CheckDecayRate("beta1", o.has_beta1(), o.beta1()));
  VIT_RETURN_IF_ERROR(CheckDecayRate("beta2", o.has_beta2(), o.beta2()));
  VIT_RETURN_IF_ERROR(CheckDecayRate("momentum", o.has_momentum(), o.momentum()));
  if (o.has_eps()) VIT_RETURN_IF_ERROR(CheckAboveZero("eps", o.eps()));
  if (o.nesterov() && o.momentum() == 0) {
    return absl::InvalidArgumentError("optimizer.nesterov needs optimizer.momentum above 0");
  }
  return ValidateGroups(o);
}

}  // namespace vit
