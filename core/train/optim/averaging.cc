#include "core/train/optim/averaging.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "absl/strings/str_cat.h"
#include "core/base/compute/named_tensors.h"

namespace vit {
namespace {

// Returns how many times SWA has averaged the weights in after `steps_done` updates.
int64_t SwaCount(const SwaSteps& swa, int64_t steps_done) {
  return std::max<int64_t>(0, (steps_done - swa.start) / swa.period);
}

std::vector<at::Tensor> Copies(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> copies;
  copies.reserve(tensors.size());
  for (const at::Tensor& tensor : tensors) copies.push_back(tensor.clone());
  return copies;
}

// average += (weights - average) * part. Counters (integers) are copied.
void MoveTowards(const std::vector<at::Tensor>& weights, double part,
                 const std::vector<at::Tensor>& average) {
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i].is_floating_point()) {
      average[i].lerp_(weights[i], part);
    } else {
      average[i].copy_(weights[i]);
    }
  }
}

}  // namespace

std::optional<SwaSteps> SwaStepsOf(const vit::v1::AveragingConfig& config,
                                   int64_t steps_per_epoch) {
  if (!config.has_swa_start_epoch()) return std::nullopt;
  const auto steps = [&](double epochs) {
    return std::llround(epochs * static_cast<double>(steps_per_epoch));
  };
  return SwaSteps{
      .start = steps(config.swa_start_epoch()),
      .period = config.has_swa_every_steps() ? config.swa_every_steps() : steps_per_epoch,
      .anneal = steps(config.swa_anneal_epochs())};
}

double SwaLearningRate(const vit::v1::AveragingConfig& config, const SwaSteps& swa,
                       double scheduled, int64_t step) {
  if (step < swa.start || !config.has_swa_learning_rate()) return scheduled;
  const double t = swa.anneal == 0 ? 1
                                   : std::min(1.0, static_cast<double>(step - swa.start + 1) /
                                                       static_cast<double>(swa.anneal));
  const double part = (1 - std::cos(std::numbers::pi * t)) / 2;
  return scheduled + (config.swa_learning_rate() - scheduled) * part;
}

double EmaDecay(const vit::v1::AveragingConfig& config, int64_t step) {
  if (!config.ema_warmup()) return config.ema_decay();
  const auto k = static_cast<double>(step);
  return std::min(config.ema_decay(), (1 + k) / (10 + k));
}

WeightAverages::WeightAverages(const vit::v1::AveragingConfig& config, int64_t steps_per_epoch,
                               torch::nn::Module* module, std::vector<ParameterGroup>* groups)
    : config_(config), swa_(SwaStepsOf(config, steps_per_epoch)), groups_(*groups) {
  torch::NoGradGuard no_grad;
  const auto parameters = module->named_parameters();
  for (const ParameterGroup& group : groups_) {
    parameters_.emplace_back();
    for (const auto& member : group.members) parameters_.back().push_back(parameters[member.name]);
  }
  for (const auto& item : module->named_buffers()) {
    buffers_.emplace_back(item.key(), item.value());
    live_buffers_.push_back(item.value().detach());
  }
  if (config_.ema_decay() > 0) ema_average_ = Copies(Live());
  if (swa_.has_value()) swa_average_ = Copies(Live());
}

WeightAverages::Flat WeightAverages::Live() const {
  Flat live;
  for (const ParameterGroup& group : groups_) live.push_back(group.values);
  live.insert(live.end(), live_buffers_.begin(), live_buffers_.end());
  return live;
}

void WeightAverages::Update(int64_t step) {
  torch::NoGradGuard no_grad;
  if (!ema_average_.empty()) MoveTowards(Live(), 1 - EmaDecay(config_, step), ema_average_);
  if (!swa_.has_value()) return;
  const int64_t count = SwaCount(*swa_, step + 1);
  if (count == SwaCount(*swa_, step)) return;
  MoveTowards(Live(), 1.0 / static_cast<double>(count), swa_average_);
}

void WeightAverages::Point(const Flat& weights) {
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (size_t i = 0; i < parameters_[g].size(); ++i) {
      parameters_[g][i].set_data(ParameterGroup::View(weights[g], groups_[g].members[i]));
    }
  }
  for (size_t i = 0; i < buffers_.size(); ++i) {
    buffers_[i].second.set_data(weights[groups_.size() + i]);
  }
}

const WeightAverages::Flat& WeightAverages::Counting(int64_t steps_done) const {
  return swa_.has_value() && SwaCount(*swa_, steps_done) > 0 ? swa_average_ : ema_average_;
}

WeightAverages::InUse::InUse(WeightAverages* averages, int64_t steps_done) : averages_(averages) {
  const Flat& average = averages_->Counting(steps_done);
  swapped_ = !average.empty();
  if (swapped_) averages_->Point(average);
}

WeightAverages::InUse::~InUse() {
  if (swapped_) averages_->Point(averages_->Live());
}

void WeightAverages::AppendAll(const std::string& prefix, const Flat& flat,
                               NamedTensors* out) const {
  AppendViews(prefix, groups_, flat, out);
  for (size_t i = 0; i < buffers_.size(); ++i) {
    out->emplace_back(absl::StrCat(prefix, ".", buffers_[i].first), flat[groups_.size() + i]);
  }
}

NamedTensors WeightAverages::State() const {
  NamedTensors state;
  if (ema_average_.empty() && swa_average_.empty()) return state;
  AppendAll("weights", Live(), &state);
  if (!ema_average_.empty()) AppendAll("ema", ema_average_, &state);
  if (!swa_average_.empty()) AppendAll("swa", swa_average_, &state);
  return state;
}

absl::Status WeightAverages::LoadState(const TensorMap& state) { return CopyState(state, State()); }

}  // namespace vit
