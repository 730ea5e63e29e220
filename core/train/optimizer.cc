#include "core/train/optimizer.h"

#include <torch/torch.h>

#include "absl/strings/str_cat.h"
#include "core/model/vision_transformer.h"

namespace vit {
namespace {

constexpr int64_t kAlignment = 16;  // floats: 64 bytes

ParameterGroup MakeGroup(torch::nn::Module& module, bool decayed, double weight_decay) {
  torch::NoGradGuard no_grad;
  ParameterGroup group;
  group.weight_decay = decayed ? weight_decay : 0;
  std::vector<at::Tensor> parameters;
  int64_t elements = 0;
  for (auto& item : module.named_parameters()) {
    if (HasWeightDecay(item.key(), item.value()) != decayed) continue;
    group.members.push_back({item.key(), elements, item.value().sizes().vec()});
    parameters.push_back(item.value());
    elements += (item.value().numel() + kAlignment - 1) / kAlignment * kAlignment;
  }
  const auto options = module.parameters().front().options().requires_grad(false);
  group.values = at::zeros({elements}, options);
  group.gradients = at::zeros({elements}, options);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor view = ParameterGroup::View(group.values, group.members[i]);
    view.copy_(parameters[i]);
    parameters[i].set_data(view);
    parameters[i].mutable_grad() = ParameterGroup::View(group.gradients, group.members[i]);
  }
  return group;
}

// Views of each group's `state` tensor under "prefix.<parameter>".
void AppendViews(const std::string& prefix, const std::vector<ParameterGroup>& groups,
                 const std::vector<at::Tensor>& state, NamedTensors* out) {
  for (size_t g = 0; g < groups.size(); ++g) {
    for (const auto& member : groups[g].members) {
      out->emplace_back(absl::StrCat(prefix, ".", member.name),
                        ParameterGroup::View(state[g], member));
    }
  }
}

std::vector<at::Tensor> ZerosLike(const std::vector<ParameterGroup>& groups) {
  std::vector<at::Tensor> state;
  for (const ParameterGroup& group : groups) state.push_back(at::zeros_like(group.values));
  return state;
}

class AdamW : public Optimizer {
 public:
  AdamW(const vit::v1::OptimizerConfig& config, std::vector<ParameterGroup>* groups)
      : config_(config),
        groups_(*groups),
        exp_avg_(ZerosLike(*groups)),
        exp_avg_sq_(ZerosLike(*groups)),
        step_(at::zeros({}, groups->front().values.options())) {}

  void Step(double learning_rate, const at::Tensor& grad_scale,
            const at::Tensor& found_inf) override {
    step_.add_(1 - found_inf);
    for (size_t g = 0; g < groups_.size(); ++g) {
      at::_fused_adamw_({groups_[g].values}, {groups_[g].gradients}, {exp_avg_[g]},
                        {exp_avg_sq_[g]}, {}, {step_}, learning_rate, config_.beta1(),
                        config_.beta2(), groups_[g].weight_decay, config_.eps(),
                        /*amsgrad=*/false, /*maximize=*/false, grad_scale, found_inf);
    }
  }

  NamedTensors State() const override {
    NamedTensors state{{"step", step_}};
    AppendViews("exp_avg", groups_, exp_avg_, &state);
    AppendViews("exp_avg_sq", groups_, exp_avg_sq_, &state);
    return state;
  }

 private:
  const vit::v1::OptimizerConfig config_;
  std::vector<ParameterGroup>& groups_;
  std::vector<at::Tensor> exp_avg_, exp_avg_sq_;
  at::Tensor step_;  // updates done
};

class Sgd : public Optimizer {
 public:
  Sgd(const vit::v1::OptimizerConfig& config, std::vector<ParameterGroup>* groups)
      : config_(config),
        groups_(*groups),
        momentum_(config.momentum() > 0 ? ZerosLike(*groups) : std::vector<at::Tensor>()) {}

  void Step(double learning_rate, const at::Tensor& grad_scale,
            const at::Tensor& found_inf) override {
    for (size_t g = 0; g < groups_.size(); ++g) {
      // LibTorch wants no buffer where there is no momentum.
      const at::TensorList buffer =
          momentum_.empty() ? at::TensorList() : at::TensorList(momentum_[g]);
      // From a buffer of zeros, torch.optim.SGD's first step (buffer = gradient) is the general one
      // without dampening.
      at::_fused_sgd_({groups_[g].values}, {groups_[g].gradients}, buffer, groups_[g].weight_decay,
                      config_.momentum(), learning_rate, /*dampening=*/0, config_.nesterov(),
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
  const vit::v1::OptimizerConfig config_;
  std::vector<ParameterGroup>& groups_;
  std::vector<at::Tensor> momentum_;
};

}  // namespace

at::Tensor ParameterGroup::View(const at::Tensor& flat, const Member& member) {
  return flat.narrow(0, member.offset, c10::multiply_integers(member.shape)).view(member.shape);
}

std::vector<ParameterGroup> FlattenParameters(torch::nn::Module& module, double weight_decay) {
  std::vector<ParameterGroup> groups;
  groups.push_back(MakeGroup(module, /*decayed=*/true, weight_decay));
  groups.push_back(MakeGroup(module, /*decayed=*/false, weight_decay));
  return groups;
}

std::unique_ptr<Optimizer> Optimizer::Create(const vit::v1::OptimizerConfig& config,
                                             std::vector<ParameterGroup>* groups) {
  if (config.type() == vit::v1::OPTIMIZER_TYPE_SGD) return std::make_unique<Sgd>(config, groups);
  return std::make_unique<AdamW>(config, groups);
}

absl::Status Optimizer::LoadState(const std::map<std::string, at::Tensor>& state) {
  torch::NoGradGuard no_grad;
  const NamedTensors own = State();
  for (const auto& [name, tensor] : own) {
    const auto found = state.find(name);
    if (found == state.end())
      return absl::InvalidArgumentError(absl::StrCat("optimizer state '", name, "' is missing"));
    if (found->second.sizes() != tensor.sizes()) {
      return absl::InvalidArgumentError(
          absl::StrCat("optimizer state '", name, "' is of another shape"));
    }
  }
  for (const auto& [name, tensor] : own) tensor.copy_(state.at(name));
  return absl::OkStatus();
}

}  // namespace vit
