#include "core/train/optim/parameter_plan.h"

#include <fnmatch.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/model/model_config.h"
#include "core/model/vision_transformer.h"
#include "proto/field_names.h"

namespace vit {
namespace {

using ::vit::v1::OptimizerConfig;

bool Matches(const std::string& pattern, const std::string& name) {
  return fnmatch(pattern.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
}

bool IsOfHead(absl::string_view name) {
  return absl::StartsWith(name, "head.") || absl::StartsWith(name, "head_dist.");
}

// The i of "blocks.i.", or -1.
int64_t BlockOf(absl::string_view name) {
  int64_t block;
  if (!absl::ConsumePrefix(&name, "blocks.") ||
      !absl::SimpleAtoi(name.substr(0, name.find('.')), &block)) {
    return -1;
  }
  return block;
}

int64_t Depth(const std::vector<ParameterTreatment>& plan) {
  int64_t depth = 0;
  for (const ParameterTreatment& parameter : plan) {
    depth = std::max(depth, BlockOf(parameter.name) + 1);
  }
  return depth;
}

// Returns INVALID_ARGUMENT, with the pattern that was perhaps meant: a name, the beginning of one
// with ".*", or the end of one with "*.".
absl::Status MatchesNothing(const std::string& field, const std::string& pattern,
                            const std::vector<ParameterTreatment>& plan) {
  std::set<std::string> candidates, beginnings;
  for (const ParameterTreatment& parameter : plan) {
    candidates.insert(parameter.name);
    beginnings.insert(parameter.name.substr(0, parameter.name.find('.')));
    for (size_t dot = parameter.name.find('.'); dot != std::string::npos;
         dot = parameter.name.find('.', dot + 1)) {
      candidates.insert(parameter.name.substr(0, dot) + ".*");
      candidates.insert("*" + parameter.name.substr(dot));
    }
  }
  const std::string nearest = NearestName(pattern, {candidates.begin(), candidates.end()});
  return absl::InvalidArgumentError(absl::StrCat(
      field, ": '", pattern, "' names no parameter of the model; ",
      nearest.empty() ? absl::StrCat("their names begin with ", absl::StrJoin(beginnings, ", "))
                      : absl::StrCat("did you mean '", nearest, "'?")));
}

// Calls `take` for every parameter that a pattern matches; it returns whether there is an effect.
absl::Status ForEachMatch(const std::string& field,
                          const google::protobuf::RepeatedPtrField<std::string>& patterns,
                          std::vector<ParameterTreatment>* plan,
                          const std::function<bool(ParameterTreatment&)>& take) {
  for (const std::string& pattern : patterns) {
    bool matched = false, taken = false;
    for (ParameterTreatment& parameter : *plan) {
      if (!Matches(pattern, parameter.name)) continue;
      matched = true;
      taken |= take(parameter);
    }
    if (!matched) return MatchesNothing(field, pattern, *plan);
    if (!taken) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ": '", pattern,
                       "' has no effect: its parameters are all frozen or in an earlier group; "
                       "leave it out or put its group first"));
    }
  }
  return absl::OkStatus();
}

absl::Status Freeze(const OptimizerConfig& config, std::vector<ParameterTreatment>* plan) {
  VIT_RETURN_IF_ERROR(ForEachMatch("optimizer.frozen", config.frozen(), plan,
                                   [](ParameterTreatment& p) { return p.frozen = true; }));
  if (std::all_of(plan->begin(), plan->end(), [](const auto& p) { return p.frozen; })) {
    return absl::InvalidArgumentError(
        "optimizer.frozen names every parameter of the model, so that nothing is left to train; "
        "leave out the head, for example");
  }
  return absl::OkStatus();
}

absl::Status ApplyGroups(const OptimizerConfig& config, std::vector<ParameterTreatment>* plan) {
  std::vector<int> group_of(plan->size(), -1);
  for (int i = 0; i < config.groups_size(); ++i) {
    const vit::v1::ParameterGroupConfig& group = config.groups(i);
    bool decays = false;
    const auto take = [&](ParameterTreatment& parameter) {
      int& owner = group_of[&parameter - plan->data()];
      if (parameter.frozen || (owner >= 0 && owner != i)) return false;
      if (owner < 0) {
        parameter.learning_rate_multiplier *= group.learning_rate_multiplier();
        parameter.weight_decay *= group.weight_decay_multiplier();
      }
      owner = i;
      decays |= parameter.decayed;
      return true;
    };
    const std::string field = absl::StrCat("optimizer.groups[", i, "]");
    VIT_RETURN_IF_ERROR(
        ForEachMatch(absl::StrCat(field, ".parameters"), group.parameters(), plan, take));
    if (group.weight_decay_multiplier() != 1 && !decays) {
      return absl::InvalidArgumentError(absl::StrCat(
          field,
          ".weight_decay_multiplier has no effect: none of the group's parameters has weight "
          "decay (biases, norms, tokens and positions have none); leave it out"));
    }
  }
  return absl::OkStatus();
}

absl::Status ApplyLayers(const OptimizerConfig& config, std::vector<ParameterTreatment>* plan) {
  const int64_t depth = Depth(*plan);
  const double decay = config.has_layer_decay() ? config.layer_decay() : 1;
  if (decay != 1 && depth == 0) {
    return absl::InvalidArgumentError(absl::StrCat("optimizer.layer_decay is ", decay,
                                                   ", but the model has no blocks; leave it out"));
  }
  const double encoder =
      config.has_encoder_learning_rate_multiplier() ? config.encoder_learning_rate_multiplier() : 1;
  bool has_encoder = false;
  for (ParameterTreatment& parameter : *plan) {
    parameter.learning_rate_multiplier *=
        std::pow(decay, depth + 1 - LayerOf(parameter.name, depth));
    if (IsOfHead(parameter.name)) continue;
    parameter.learning_rate_multiplier *= encoder;
    has_encoder |= !parameter.frozen;
  }
  if (encoder != 1 && !has_encoder) {
    return absl::InvalidArgumentError(
        absl::StrCat("optimizer.encoder_learning_rate_multiplier is ", encoder,
                     ", but all parameters outside the heads are frozen, so that it has no effect; "
                     "leave it out"));
  }
  return absl::OkStatus();
}

bool TreatsAllAlike(const OptimizerConfig& config) {
  return config.groups().empty() && config.frozen().empty() && config.layer_decay() == 1 &&
         config.encoder_learning_rate_multiplier() == 1;
}

// Counts the blocks from the first trained one on; all blocks if anything before them is trained.
int64_t TrainedBlocks(const std::vector<ParameterTreatment>& plan) {
  const int64_t depth = Depth(plan);
  int64_t first = depth;
  for (const ParameterTreatment& parameter : plan) {
    if (parameter.frozen) continue;
    const bool shared_norm =
        absl::StartsWith(parameter.name, "norm1.") || absl::StartsWith(parameter.name, "norm2.");
    const int64_t block = BlockOf(parameter.name);
    if (block >= 0) first = std::min(first, block);
    if (shared_norm || LayerOf(parameter.name, depth) == 0) first = 0;
  }
  return depth - first;
}

}  // namespace

int64_t LayerOf(const std::string& name, int64_t depth) {
  if (const int64_t block = BlockOf(name); block >= 0) return block + 1;
  for (const absl::string_view first :
       {"cls_token", "dist_token", "reg_token", "pos_embed", "patch_embed.", "norm_pre."}) {
    if (absl::StartsWith(name, first)) return 0;
  }
  return absl::StartsWith(name, "norm") ? depth : depth + 1;
}

absl::StatusOr<std::vector<ParameterTreatment>> PlanParameters(const OptimizerConfig& config,
                                                               const torch::nn::Module& module) {
  std::vector<ParameterTreatment> plan;
  for (const auto& item : module.named_parameters()) {
    const bool decayed = HasWeightDecay(item.key(), item.value());
    plan.push_back({.name = item.key(),
                    .decayed = decayed,
                    .weight_decay = decayed ? config.weight_decay() : 0});
  }
  VIT_RETURN_IF_ERROR(Freeze(config, &plan));
  VIT_RETURN_IF_ERROR(ApplyGroups(config, &plan));
  VIT_RETURN_IF_ERROR(ApplyLayers(config, &plan));
  return plan;
}

absl::StatusOr<TrainedPart> FindTrainedPart(const vit::v1::TrainingSpec& spec) {
  if (TreatsAllAlike(spec.optimizer())) {
    return TrainedPart{.parameters = ParameterCount(spec.model()), .blocks = spec.model().depth()};
  }
  return CatchExceptions("parameter groups", [&]() -> absl::StatusOr<TrainedPart> {
    const VisionTransformer model(spec.model());
    VIT_ASSIGN_OR_RETURN(const std::vector<ParameterTreatment> plan,
                         PlanParameters(spec.optimizer(), *model));
    TrainedPart part{.blocks = TrainedBlocks(plan)};
    const auto parameters = model->parameters();
    for (size_t i = 0; i < plan.size(); ++i) {
      if (!plan[i].frozen) part.parameters += parameters[i].numel();
    }
    return part;
  });
}

}  // namespace vit
