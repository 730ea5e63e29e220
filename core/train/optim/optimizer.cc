#include "core/train/optim/optimizer.h"

#include <torch/torch.h>

#include <tuple>

#include "absl/strings/str_cat.h"
#include "core/base/compute/named_tensors.h"
#include "core/train/optim/parameter_plan.h"

namespace vit {
namespace {

using ::vit::v1::OptimizerConfig;

constexpr int64_t kAlignment = 16;  // floats: 64 bytes

ParameterGroup MakeGroup(const NamedTensors& parameters, const ParameterTreatment& treatment) {
  torch::NoGradGuard no_grad;
  ParameterGroup group;
  group.learning_rate_multiplier = treatment.learning_rate_multiplier;
  group.weight_decay = treatment.weight_decay;
  int64_t elements = 0;
  for (const auto& [name, value] : parameters) {
    group.members.push_back({name, elements, value.sizes().vec()});
    elements += (value.numel() + kAlignment - 1) / kAlignment * kAlignment;
  }
  const auto options = parameters.front().second.options().requires_grad(false);
  group.values = at::zeros({elements}, options);
  group.gradients = at::zeros({elements}, options);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor& parameter = parameters[i].second;
    const at::Tensor view = ParameterGroup::View(group.values, group.members[i]);
    view.copy_(parameter);
    parameter.set_data(view);
    parameter.mutable_grad() = ParameterGroup::View(group.gradients, group.members[i]);
  }
  return group;
}

// Returns the members' views of the group's `flat` tensor, in order.
std::vector<at::Tensor> Views(const ParameterGroup& group, const at::Tensor& flat) {
  std::vector<at::Tensor> views;
  views.reserve(group.members.size());
  for (const auto& member : group.members) views.push_back(ParameterGroup::View(flat, member));
  return views;
}

std::vector<at::Tensor> ZerosLike(const std::vector<ParameterGroup>& groups) {
  std::vector<at::Tensor> state;
  state.reserve(groups.size());
  for (const ParameterGroup& group : groups) state.push_back(at::zeros_like(group.values));
  return state;
}

// Suppresses an update, for rules that LibTorch has no fused operation for: replaces a gradient
// that is not finite by zeros, and everything that is added is multiplied by `applied`, so that
// nothing changes.
struct Gate {
  Gate(const at::Tensor& grad_scale, const at::Tensor& found_inf)
      : suppressed(found_inf.to(at::kBool)),
        applied(1 - found_inf),
        scale(grad_scale.masked_fill(suppressed, 1)) {}

  // Divides `gradients` by the scale, in place.
  at::Tensor& Scale(at::Tensor& gradients) const {
    return gradients.masked_fill_(suppressed, 0).div_(scale);
  }

  const at::Tensor suppressed;  // bool
  const at::Tensor applied;     // float32: 1, or 0 if the update is suppressed
  const at::Tensor scale;
};

// The state of Adam and similar rules: the means of the gradient and of its square, and the number
// of updates.
class MomentOptimizer : public Optimizer {
 public:
  MomentOptimizer(const OptimizerConfig& config, std::vector<ParameterGroup>* groups)
      : config_(config),
        groups_(*groups),
        exp_avg_(ZerosLike(*groups)),
        exp_avg_sq_(ZerosLike(*groups)),
        step_(at::zeros({}, groups->front().values.options())) {}

  NamedTensors State() const override {
    NamedTensors state{{"step", step_}};
    AppendViews("exp_avg", groups_, exp_avg_, &state);
    AppendViews("exp_avg_sq", groups_, exp_avg_sq_, &state);
    return state;
  }

 protected:
  const OptimizerConfig config_;
  std::vector<ParameterGroup>& groups_;
  std::vector<at::Tensor> exp_avg_, exp_avg_sq_;
  at::Tensor step_;  // updates done
};

// Adam, with weight decay decoupled (AdamW) or in the gradient.
class Adam : public MomentOptimizer {
 public:
  using MomentOptimizer::MomentOptimizer;

  void Step(double learning_rate, const at::Tensor& grad_scale,
            const at::Tensor& found_inf) override {
    const bool decoupled = config_.type() == vit::v1::OPTIMIZER_TYPE_ADAMW;
    step_.add_(1 - found_inf);
    for (size_t g = 0; g < groups_.size(); ++g) {
      const double rate = learning_rate * groups_[g].learning_rate_multiplier;
      if (decoupled) {
        at::_fused_adamw_({groups_[g].values}, {groups_[g].gradients}, {exp_avg_[g]},
                          {exp_avg_sq_[g]}, {}, {step_}, rate, config_.beta1(), config_.beta2(),
                          groups_[g].weight_decay, config_.eps(), /*amsgrad=*/false,
                          /*maximize=*/false, grad_scale, found_inf);
      } else {
        at::_fused_adam_({groups_[g].values}, {groups_[g].gradients}, {exp_avg_[g]},
                         {exp_avg_sq_[g]}, {}, {step_}, rate, config_.beta1(), config_.beta2(),
                         groups_[g].weight_decay, config_.eps(), /*amsgrad=*/false,
                         /*maximize=*/false, grad_scale, found_inf);
      }
    }
  }
};

class Sgd : public Optimizer {
 public:
  Sgd(const OptimizerConfig& config, std::vector<ParameterGroup>* groups)
      : config_(config),
        groups_(*groups),
        momentum_(config.momentum() > 0 ? ZerosLike(*groups) : std::vector<at::Tensor>()) {}

  void Step(double learning_rate, const at::Tensor& grad_scale,
            const at::Tensor& found_inf) override {
    for (size_t g = 0; g < groups_.size(); ++g) {
      // LibTorch expects no buffer without momentum.
      const at::TensorList buffer =
          momentum_.empty() ? at::TensorList() : at::TensorList(momentum_[g]);
      // Without dampening, torch.optim.SGD's first step (buffer = gradient) is the general one from
      // a buffer of zeros.
      at::_fused_sgd_({groups_[g].values}, {groups_[g].gradients}, buffer, groups_[g].weight_decay,
                      config_.momentum(), learning_rate * groups_[g].learning_rate_multiplier,
                      /*dampening=*/0, config_.nesterov(),
                      /*maximize=*/false,
                      /*is_first_step=*/false, grad_scale, found_inf);
    }
  }

  NamedTensors State() const override {
    NamedTensors state;
    if (!momentum_.empty()) AppendViews("momentum", groups_, momentum_, &state);
    return state;
  }

 private:
  const OptimizerConfig config_;
  std::vector<ParameterGroup>& groups_;
  std::vector<at::Tensor> momentum_;
};

// With m and v as in Adam: u = m^ / (sqrt(v^) + eps) + weight_decay p; p -= lr (|p| / |u|) u. The
// norms are over each parameter; their quotient is 1 if either is 0, and without weight decay
// unless always_adapt. (You et al., 2020, algorithm 2, with the identity for phi; as timm's Lamb.)
class Lamb : public MomentOptimizer {
 public:
  using MomentOptimizer::MomentOptimizer;

  void Step(double learning_rate, const at::Tensor& grad_scale,
            const at::Tensor& found_inf) override {
    const Gate gate(grad_scale, found_inf);
    step_.add_(gate.applied);
    // In double precision: 1 - beta2^t loses most of its digits in single precision.
    const at::Tensor t = step_.to(at::kDouble).clamp_min(1);
    const at::Tensor correction1 = 1 - at::pow(config_.beta1(), t);
    const at::Tensor root2 = (1 - at::pow(config_.beta2(), t)).sqrt();
    for (size_t g = 0; g < groups_.size(); ++g) {
      ParameterGroup& group = groups_[g];
      // The gradient's memory then holds the square, then the update.
      at::Tensor& u = gate.Scale(group.gradients);
      exp_avg_[g].lerp_(u, gate.applied * (1 - config_.beta1()));
      exp_avg_sq_[g].lerp_(u.square_(), gate.applied * (1 - config_.beta2()));
      at::sqrt_out(u, exp_avg_sq_[g]).add_(root2 * config_.eps());
      at::div_out(u, exp_avg_[g], u).mul_(root2 / correction1);
      if (group.weight_decay != 0) u.add_(group.values, group.weight_decay);
      const at::Tensor rate = gate.applied * (-learning_rate * group.learning_rate_multiplier);
      if (group.weight_decay != 0 || config_.always_adapt()) {
        AddAdapted(group, u, rate);
      } else {
        group.values.addcmul_(u, rate);
      }
    }
  }

 private:
  // values += rate * trust ratio * u, parameter by parameter.
  static void AddAdapted(const ParameterGroup& group, const at::Tensor& u, const at::Tensor& rate) {
    const std::vector<at::Tensor> values = Views(group, group.values), updates = Views(group, u);
    const at::Tensor value_norms = at::stack(at::_foreach_norm(values));  // [members]
    const at::Tensor update_norms = at::stack(at::_foreach_norm(updates));
    const at::Tensor ratios = at::where((value_norms > 0).logical_and(update_norms > 0),
                                        value_norms / update_norms, at::ones_like(value_norms));
    const std::vector<at::Tensor> factors = (ratios * rate).unbind();
    for (size_t i = 0; i < values.size(); ++i) values[i].addcmul_(updates[i], factors[i]);
  }
};

// p -= lr (sign(beta1 m + (1 - beta1) g) + weight_decay p); m = beta2 m + (1 - beta2) g. (Chen et
// al., 2023, algorithm 2.)
class Lion : public Optimizer {
 public:
  Lion(const OptimizerConfig& config, std::vector<ParameterGroup>* groups)
      : config_(config), groups_(*groups), exp_avg_(ZerosLike(*groups)) {}

  void Step(double learning_rate, const at::Tensor& grad_scale,
            const at::Tensor& found_inf) override {
    const Gate gate(grad_scale, found_inf);
    for (size_t g = 0; g < groups_.size(); ++g) {
      ParameterGroup& group = groups_[g];
      const double rate = learning_rate * group.learning_rate_multiplier;
      const at::Tensor& gradients = gate.Scale(group.gradients);
      const at::Tensor direction = exp_avg_[g].lerp(gradients, 1 - config_.beta1()).sign_();
      if (group.weight_decay != 0) {
        group.values.mul_(1 - gate.applied * (rate * group.weight_decay));
      }
      group.values.addcmul_(direction, gate.applied * -rate);
      exp_avg_[g].lerp_(gradients, gate.applied * (1 - config_.beta2()));
    }
  }

  NamedTensors State() const override {
    NamedTensors state;
    AppendViews("exp_avg", groups_, exp_avg_, &state);
    return state;
  }

 private:
  const OptimizerConfig config_;
  std::vector<ParameterGroup>& groups_;
  std::vector<at::Tensor> exp_avg_;
};

}  // namespace

at::Tensor ParameterGroup::View(const at::Tensor& flat, const Member& member) {
  return flat.narrow(0, member.offset, c10::multiply_integers(member.shape)).view(member.shape);
}

std::vector<ParameterGroup> FlattenParameters(torch::nn::Module& module,
                                              const OptimizerConfig& config) {
  const std::vector<ParameterTreatment> plan = PlanParameters(config, module).value();
  // Grouped by treatment, groups with weight decay first; within a group in the module's order.
  using Key = std::tuple<bool, double, double>;
  std::map<Key, std::vector<size_t>> indices;
  for (size_t i = 0; i < plan.size(); ++i) {
    if (plan[i].frozen) continue;
    indices[{!plan[i].decayed, -plan[i].weight_decay, -plan[i].learning_rate_multiplier}].push_back(
        i);
  }
  const std::vector<at::Tensor> parameters = module.parameters();
  std::vector<ParameterGroup> groups;
  for (const auto& [key, members] : indices) {
    NamedTensors named;
    for (const size_t i : members) named.emplace_back(plan[i].name, parameters[i]);
    groups.push_back(MakeGroup(named, plan[members.front()]));
  }
  for (size_t i = 0; i < plan.size(); ++i) {
    if (plan[i].frozen) parameters[i].set_requires_grad(false);
  }
  return groups;
}

std::unique_ptr<Optimizer> Optimizer::Create(const OptimizerConfig& config,
                                             std::vector<ParameterGroup>* groups) {
  switch (config.type()) {
    case vit::v1::OPTIMIZER_TYPE_SGD:
      return std::make_unique<Sgd>(config, groups);
    case vit::v1::OPTIMIZER_TYPE_LAMB:
      return std::make_unique<Lamb>(config, groups);
    case vit::v1::OPTIMIZER_TYPE_LION:
      return std::make_unique<Lion>(config, groups);
    default:
      return std::make_unique<Adam>(config, groups);
  }
}

void AppendViews(const std::string& prefix, const std::vector<ParameterGroup>& groups,
                 const std::vector<at::Tensor>& state, NamedTensors* out) {
  for (size_t g = 0; g < groups.size(); ++g) {
    for (const auto& member : groups[g].members) {
      out->emplace_back(absl::StrCat(prefix, ".", member.name),
                        ParameterGroup::View(state[g], member));
    }
  }
}

absl::Status CopyState(const TensorMap& state, const NamedTensors& into) {
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : into) {
    const auto found = state.find(name);
    if (found == state.end()) {
      return absl::InvalidArgumentError(absl::StrCat("training state '", name, "' is missing"));
    }
    if (found->second.sizes() != tensor.sizes()) {
      return absl::InvalidArgumentError(
          absl::StrCat("training state '", name, "' has another shape"));
    }
  }
  for (const auto& [name, tensor] : into) tensor.copy_(state.at(name));
  return absl::OkStatus();
}

}  // namespace vit
