#include "core/train/optim/optimizer_config.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/spec/merge_spec.h"
#include "core/train/memory_estimate.h"
#include "core/train/plan_run.h"
#include "core/train/resolve_spec.h"
#include "proto/set_field.h"
#include "proto/spec_text.h"

namespace vit {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;
using ::vit::v1::TrainingSpec;

absl::StatusOr<ResolvedSpec> Resolve(const std::vector<std::string>& assignments,
                                     const std::string& preset = "shapes_demo") {
  TrainingSpec spec;
  spec.mutable_data()->set_source("shapes:");
  for (const std::string& assignment : assignments) {
    const absl::Status status = SetField(assignment, &spec);
    EXPECT_TRUE(status.ok()) << status;
  }
  return PlanRun(preset, spec, TrainingEnvironment());
}

TEST(OptimizerConfigTest, EveryTypeHasItsDefaultsAndResolvesToItself) {
  for (const auto& [type, expected] : {
           std::pair("adamw",
                     "learning_rate: 1e-3 weight_decay: 0.05 beta1: 0.9 beta2: 0.999 eps: 1e-8"),
           std::pair("adam",
                     "learning_rate: 1e-3 weight_decay: 0 beta1: 0.9 beta2: 0.999 eps: 1e-8"),
           std::pair("sgd", "learning_rate: 1e-3 weight_decay: 0.05 momentum: 0.9 nesterov: false"),
           std::pair("lamb",
                     "learning_rate: 1e-3 weight_decay: 0.05 beta1: 0.9 beta2: 0.999 eps: 1e-6 "
                     "always_adapt: false"),
           std::pair("lion", "learning_rate: 1e-4 weight_decay: 0.05 beta1: 0.9 beta2: 0.99"),
       }) {
    vit::v1::OptimizerConfig config;
    ASSERT_TRUE(ParseMessageText(expected, &config).ok());
    config.set_layer_decay(1);
    config.set_encoder_learning_rate_multiplier(1);
    const auto resolved = Resolve({std::string("optimizer.type=") + type}, "vit_tiny_patch16_224");
    ASSERT_TRUE(resolved.ok()) << resolved.status();
    config.set_type(resolved->spec.optimizer().type());
    EXPECT_TRUE(MessageDifferencer::Equals(resolved->spec.optimizer(), config))
        << resolved->spec.optimizer().DebugString();
    const auto again = PlanRun("", resolved->spec, TrainingEnvironment());
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_TRUE(MessageDifferencer::Equals(resolved->spec, again->spec));
  }
}

TEST(OptimizerConfigTest, EveryScheduleHasItsDefaultsAndResolvesToItself) {
  for (const auto& [assignments, expected] :
       {std::pair(std::vector<std::string>{"schedule.type=cosine"}, "cycles: 1 cycle_decay: 1"),
        std::pair(std::vector<std::string>{"schedule.type=linear"}, ""),
        std::pair(std::vector<std::string>{"schedule.type=constant"}, ""),
        std::pair(std::vector<std::string>{"schedule.type=polynomial"}, "power: 1"),
        std::pair(std::vector<std::string>{"schedule.type=step", "schedule.milestone_epochs=1,2.5"},
                  "gamma: 0.1 milestone_epochs: [1, 2.5]"),
        std::pair(std::vector<std::string>{"schedule.type=warmup_stable_decay"},
                  "decay_fraction: 0.2 decay_shape: DECAY_SHAPE_LINEAR")}) {
    vit::v1::ScheduleConfig config;
    ASSERT_TRUE(ParseMessageText(expected, &config).ok());
    config.set_warmup_fraction(0.05);
    config.set_warmup_start_learning_rate(0);
    config.set_min_learning_rate(0);
    const auto resolved = Resolve(assignments);
    ASSERT_TRUE(resolved.ok()) << resolved.status();
    config.set_type(resolved->spec.schedule().type());
    EXPECT_TRUE(MessageDifferencer::Equals(resolved->spec.schedule(), config))
        << resolved->spec.schedule().DebugString();
    const auto again = PlanRun("", resolved->spec, TrainingEnvironment());
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_TRUE(MessageDifferencer::Equals(resolved->spec, again->spec));
  }
}

TEST(OptimizerConfigTest, ABaseLearningRateIsScaledToTheBatchSize) {
  const auto peak = [](const std::vector<std::string>& assignments) {
    const auto resolved = Resolve(assignments);
    EXPECT_TRUE(resolved.ok()) << resolved.status();
    return resolved.ok() ? resolved->spec.optimizer().learning_rate() : 0;
  };
  EXPECT_DOUBLE_EQ(peak({"batch_size=512", "optimizer.base_learning_rate=5e-4"}), 1e-3);
  EXPECT_DOUBLE_EQ(
      peak({"batch_size=64", "optimizer.base_learning_rate=1e-3", "optimizer.base_batch_size=512"}),
      1e-3 / 8);
  EXPECT_DOUBLE_EQ(peak({"batch_size=512", "optimizer.base_learning_rate=5e-4",
                         "optimizer.learning_rate_scaling=square_root"}),
                   5e-4 * std::sqrt(2));
  // Both are set in an effective spec; values that do not match are refused.
  EXPECT_DOUBLE_EQ(
      peak({"batch_size=512", "optimizer.base_learning_rate=5e-4", "optimizer.learning_rate=1e-3"}),
      1e-3);
  const auto resolved = Resolve({"batch_size=512", "optimizer.base_learning_rate=5e-4"});
  TrainingSpec spec = resolved->spec;
  ASSERT_TRUE(PlanRun("", spec, TrainingEnvironment()).ok());
  spec.set_batch_size(256);
  const absl::Status refused = PlanRun("", spec, TrainingEnvironment()).status();
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("optimizer.learning_rate is 0.001, but optimizer.base_learning_rate 0.0005 "
                        "at 256 images means 0.0005 at 256"));
}

TEST(OptimizerConfigTest, WhatReplacesAPresetsChoiceTakesItsFieldsAway) {
  TrainingSpec base, over;
  ASSERT_TRUE(
      ParseMessageText("beta2: 0.95 eps: 1e-6 base_learning_rate: 5e-4 base_batch_size: 512 "
                       "learning_rate: 1e-3 weight_decay: 0.3",
                       base.mutable_optimizer())
          .ok());
  over.mutable_optimizer()->set_learning_rate(0.1);
  over.mutable_optimizer()->set_type(vit::v1::OPTIMIZER_TYPE_SGD);
  TrainingSpec merged = base;
  MergeSpec(over, &merged);
  EXPECT_EQ(merged.optimizer().ShortDebugString(),
            "type: OPTIMIZER_TYPE_SGD learning_rate: 0.1 weight_decay: 0.3");
  // Of another type that has the field, and of another batch size.
  over.Clear();
  over.mutable_optimizer()->set_type(vit::v1::OPTIMIZER_TYPE_LION);
  merged = base;
  MergeSpec(over, &merged);
  EXPECT_EQ(merged.optimizer().ShortDebugString(),
            "type: OPTIMIZER_TYPE_LION weight_decay: 0.3 beta2: 0.95 base_learning_rate: 0.0005 "
            "base_batch_size: 512");
}

TEST(OptimizerConfigTest, AnotherScheduleTakesThePresetsFieldsAway) {
  const auto resolved = Resolve({"schedule.type=step", "schedule.every_epochs=1"});
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_FALSE(resolved->spec.schedule().has_cycles());
}

struct BadSpec {
  std::vector<std::string> assignments;
  std::string message;
};

TEST(OptimizerConfigTest, WhatCannotWorkIsNamedWithTheWayOut) {
  for (const BadSpec& bad : {
           BadSpec{{"optimizer.type=lion", "optimizer.eps=1e-8"},
                   "optimizer.eps applies to optimizer.type adamw, adam, lamb, and optimizer.type "
                   "is lion"},
           BadSpec{{"optimizer.always_adapt=true"},
                   "optimizer.always_adapt applies to optimizer.type lamb"},
           BadSpec{{"optimizer.type=lamb", "optimizer.eps=0"}, "optimizer.eps is 0"},
           BadSpec{{"optimizer.type=lion", "optimizer.beta1=1"}, "optimizer.beta1 is 1"},
           BadSpec{{"optimizer.type=sgd", "optimizer.momentum=0", "optimizer.nesterov=true"},
                   "optimizer.nesterov needs"},
           BadSpec{{"optimizer.base_batch_size=512"},
                   "no effect without optimizer.base_learning_rate"},
           BadSpec{{"optimizer.base_learning_rate=-1"}, "optimizer.base_learning_rate is -1"},
           BadSpec{{"optimizer.base_learning_rate=-1"}, "optimizer.base_learning_rate is -1"},
           BadSpec{{"optimizer.base_learning_rate=1e-3", "optimizer.base_batch_size=0"},
                   "optimizer.base_batch_size is 0"},
           BadSpec{{"optimizer.base_learning_rate=1e-3", "optimizer.learning_rate=1e-3"},
                   "at 256 images means 0.00025 at 64; remove one of the two"},
           BadSpec{{"optimizer.layer_decay=0"}, "optimizer.layer_decay is 0"},
           BadSpec{{"optimizer.layer_decay=1.5"}, "optimizer.layer_decay is 1.5"},
           BadSpec{{"optimizer.encoder_learning_rate_multiplier=-1"},
                   "optimizer.encoder_learning_rate_multiplier is -1"},
           BadSpec{{"optimizer.encoder_learning_rate_multiplier=0"},
                   "list parameters that keep their values in optimizer.frozen"},
           BadSpec{{"optimizer.groups={learning_rate_multiplier: 2}"},
                   "optimizer.groups[0].parameters is empty"},
           BadSpec{{"optimizer.groups={parameters: 'head.*' learning_rate_multiplier: -2}"},
                   "optimizer.groups[0].learning_rate_multiplier is -2"},
           BadSpec{{"optimizer.groups={parameters: 'head.*' weight_decay_multiplier: -2}"},
                   "optimizer.groups[0].weight_decay_multiplier is -2"},
           BadSpec{{"optimizer.groups={parameters: 'haed.*'}"}, "did you mean 'head.*'?"},
           BadSpec{{"optimizer.frozen=*"}, "nothing is left to train"},
           BadSpec{{"schedule.power=2"}, "schedule.power applies to schedule.type polynomial"},
           BadSpec{{"schedule.type=polynomial", "schedule.power=0"}, "schedule.power is 0"},
           BadSpec{{"schedule.cycles=0"}, "schedule.cycles is 0"},
           BadSpec{{"schedule.cycle_decay=2"}, "schedule.cycle_decay is 2"},
           BadSpec{
               {"schedule.cycles=9", "schedule.cycle_decay=0.1", "schedule.min_learning_rate=1e-5"},
               "schedule: the last of 9 cycles begins at"},
           BadSpec{{"schedule.warmup_start_learning_rate=1"},
                   "schedule.warmup_start_learning_rate is 1"},
           BadSpec{{"schedule.min_learning_rate=1"}, "schedule.min_learning_rate is 1"},
           BadSpec{{"schedule.type=SCHEDULE_TYPE_CONSTANT", "schedule.min_learning_rate=1e-5"},
                   "but a constant schedule never falls"},
           BadSpec{{"schedule.type=step"}, "schedule.type is step, but no steps are given"},
           BadSpec{{"schedule.type=step", "schedule.every_steps=3", "schedule.every_epochs=1"},
                   "schedule.every_steps and schedule.every_epochs are both set"},
           BadSpec{{"schedule.type=step", "schedule.every_steps=0"}, "schedule.every_steps is 0"},
           BadSpec{{"schedule.type=step", "schedule.every_epochs=-1"},
                   "schedule.every_epochs is -1"},
           BadSpec{{"schedule.type=step", "schedule.every_steps=3", "schedule.gamma=0"},
                   "schedule.gamma is 0"},
           BadSpec{{"schedule.type=step", "schedule.milestone_steps=30,20"},
                   "schedule.milestone_steps is 20; expected numbers in ascending order"},
           BadSpec{{"schedule.type=warmup_stable_decay", "schedule.decay_steps=1",
                    "schedule.decay_epochs=1"},
                   "schedule.decay_steps and schedule.decay_epochs are both set"},
           BadSpec{{"schedule.type=warmup_stable_decay", "schedule.decay_fraction=0.97"},
                   "schedule: a warmup of 62 and a decay of 1211 steps are longer than the run of "
                   "1248 steps"},
       }) {
    const auto resolved = Resolve(bad.assignments);
    EXPECT_EQ(resolved.status().code(), absl::StatusCode::kInvalidArgument)
        << bad.message << ": " << resolved.status();
    EXPECT_THAT(std::string(resolved.status().message()), HasSubstr(bad.message));
  }
}

TEST(OptimizerConfigTest, AConstantScheduleTakesThePresetsFloorAway) {
  const auto resolved = Resolve({"schedule.type=constant", "schedule.warmup_epochs=0", "epochs=1",
                                 "batch_size=64", "averaging.ema_decay=0"},
                                "deit_small_imagenet");
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->spec.schedule().min_learning_rate(), 0);  // the preset's is 1e-5
}

TEST(OptimizerConfigTest, MemoryCountsTheOptimizersStateAndLeavesOutWhatIsFrozen) {
  const auto estimate = [](const std::vector<std::string>& assignments) {
    const auto resolved = Resolve(assignments, "cifar10_base");
    EXPECT_TRUE(resolved.ok()) << resolved.status();
    return resolved->estimated_memory.host_bytes;
  };
  const auto parameters = Resolve({}, "cifar10_base")->parameter_count;
  const int64_t adamw = estimate({});
  EXPECT_EQ(estimate({"optimizer.type=adam"}), adamw);
  EXPECT_EQ(estimate({"optimizer.type=lamb"}), adamw);
  // Each copy of the state exists twice, in use and in a checkpoint's snapshot.
  EXPECT_NEAR(estimate({"optimizer.type=sgd"}), adamw - 8 * parameters, 8);
  EXPECT_NEAR(estimate({"optimizer.type=sgd", "optimizer.momentum=0"}), adamw - 16 * parameters, 8);
  EXPECT_NEAR(estimate({"optimizer.type=lion"}), adamw - 4 * parameters, 8);
  EXPECT_EQ(estimate({"optimizer.layer_decay=0.7"}), adamw);
  const int64_t half =
      estimate({"optimizer.frozen=cls_token,pos_embed,patch_embed.*,blocks.[0-5].*"});
  const int64_t head = estimate({"optimizer.frozen=cls_token,pos_embed,patch_embed.*,blocks.*"});
  EXPECT_LT(half, adamw);
  EXPECT_LT(head, half);
  // A frozen tail saves state, but the backward pass goes all the way.
  EXPECT_GT(estimate({"optimizer.frozen=blocks.[6-9].*,blocks.1[01].*"}), half);
}

}  // namespace
}  // namespace vit
