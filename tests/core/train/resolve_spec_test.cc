#include "core/train/resolve_spec.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <fstream>

#include "core/base/compute/named_tensors.h"
#include "core/model/vision_transformer.h"
#include "core/spec/presets.h"
#include "core/tensor_file/safetensors.h"
#include "core/train/memory_estimate.h"
#include "core/train/plan_run.h"
#include "proto/set_field.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::vit::v1::TrainingSpec;

class ResolveSpecTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::create_directories(root_);
    environment_.data_roots = {root_.string()};
  }
  void TearDown() override { fs::remove_all(root_); }

  absl::StatusOr<ResolvedSpec> Resolve(const std::string& preset,
                                       const std::vector<std::string>& assignments) {
    TrainingSpec spec;
    spec.mutable_data()->set_source("shapes:");
    for (const std::string& assignment : assignments) {
      EXPECT_TRUE(SetField(assignment, &spec).ok()) << assignment;
    }
    return PlanRun(preset, spec, environment_);
  }
  fs::path root_;
  TrainingEnvironment environment_;
};

TEST_F(ResolveSpecTest, AnEffectiveSpecHasEveryFieldAndResolvesToItself) {
  const auto resolved = Resolve("cifar10_small", {"epochs=3"});
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->spec.model().num_classes(), 10);
  EXPECT_TRUE(resolved->spec.has_seed());
  EXPECT_TRUE(resolved->spec.has_compute_threads());
  EXPECT_EQ(resolved->spec.optimizer().type(), vit::v1::OPTIMIZER_TYPE_ADAMW);
  EXPECT_EQ(resolved->steps_per_epoch, 20000 / 128);
  EXPECT_EQ(resolved->total_steps, 3 * (20000 / 128));
  const auto again = PlanRun("", resolved->spec, environment_);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(resolved->spec, again->spec));
}

TEST_F(ResolveSpecTest, OneClassAloneIsAnErrorThatNamesIt) {
  const auto write = [&](const std::string& name) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << "an image";
  };
  for (int i = 0; i < 4; ++i) write("cat/" + std::to_string(i) + ".jpg");
  std::vector<std::string> assignments = {"data.source=folder:" + root_.string(), "batch_size=2"};
  const absl::Status alone = Resolve("cifar10_small", assignments).status();
  EXPECT_EQ(alone.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(alone.message()), HasSubstr("has only one class, 'cat'"));
  assignments.push_back("data.listing_version=1");
  EXPECT_TRUE(Resolve("cifar10_small", assignments).ok()) << "an earlier run continues";
  assignments.pop_back();
  for (int i = 0; i < 4; ++i) write("dog/" + std::to_string(i) + ".jpg");
  EXPECT_TRUE(Resolve("cifar10_small", assignments).ok());
}

TEST_F(ResolveSpecTest, WhatIsSetWinsOverThePreset) {
  const auto resolved = Resolve(
      "cifar10_small", {"optimizer.weight_decay=0", "max_steps=7", "schedule.warmup_steps=2"});
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->spec.optimizer().weight_decay(), 0);
  EXPECT_EQ(resolved->total_steps, 7);
  EXPECT_FALSE(resolved->spec.has_epochs());
  EXPECT_FALSE(resolved->spec.schedule().has_warmup_fraction());
}

// A folder does not determine that its images have the model's size: without this they would be
// enlarged and cropped.
TEST_F(ResolveSpecTest, Cifar10IsEvaluatedWhole) {
  for (const auto& preset : AllPresets()) {
    if (!preset.name().starts_with("cifar10_")) continue;
    EXPECT_EQ(preset.spec().data().eval().crop_pct(), 1) << preset.name();
  }
}

TEST_F(ResolveSpecTest, SeedsAreDrawnApart) {
  EXPECT_NE(Resolve("shapes_demo", {})->spec.seed(), Resolve("shapes_demo", {})->spec.seed());
}

TEST_F(ResolveSpecTest, AnEnumerationWithoutAMeaningIsRefused) {
  TrainingSpec spec;
  spec.mutable_data()->set_source("shapes:");
  spec.mutable_optimizer()->set_type(vit::v1::OPTIMIZER_TYPE_UNSPECIFIED);
  const absl::Status refused = PlanRun("shapes_demo", spec, environment_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("optimizer.type is unspecified"));
}

struct BadSpec {
  std::string preset;
  std::vector<std::string> assignments;
  absl::StatusCode code;
  std::string message;
};

TEST_F(ResolveSpecTest, WhatCannotWorkIsNamedWithTheWayOut) {
  fs::create_directories(root_ / "empty");
  const auto invalid = absl::StatusCode::kInvalidArgument;
  const std::string root = root_.string();
  for (const BadSpec& bad : {
           BadSpec{"cifar_small",
                   {},
                   absl::StatusCode::kNotFound,
                   "no preset 'cifar_small'; did you mean 'cifar10_small'?"},
           BadSpec{"shapes_demo", {"data.source="}, invalid, "data.source is not set"},
           BadSpec{"shapes_demo", {"data.source=http://x"}, invalid, "http"},
           BadSpec{"shapes_demo",
                   {"model.embed_dim=65"},
                   invalid,
                   "model.embed_dim is 65, not a multiple"},
           BadSpec{
               "shapes_demo",
               {"data.eval.image_size=64"},
               invalid,
               "data.eval.image_size is 64, but the model's image_size is 32; another size needs "
               "model.dynamic_image_size=true"},
           BadSpec{"shapes_demo",
                   {"model.dynamic_image_size=true", "data.eval.image_size=65"},
                   invalid,
                   "data.eval.image_size is 65, which is not a multiple of the patch's"},
           BadSpec{"shapes_demo",
                   {"model.image_size=33"},
                   invalid,
                   "model.image_size is 33, not a multiple"},
           BadSpec{"shapes_demo",
                   {"model.num_classes=3"},
                   invalid,
                   "model.num_classes is 3, but shapes: has 10 classes"},
           BadSpec{"shapes_demo",
                   {"schedule.warmup_steps=5000"},
                   invalid,
                   "a warmup of 5000 steps is longer than the run"},
           BadSpec{"shapes_demo",
                   {"schedule.warmup_steps=5", "schedule.warmup_epochs=1"},
                   invalid,
                   "they exclude each other"},
           BadSpec{"shapes_demo",
                   {"epochs=1", "max_steps=1"},
                   invalid,
                   "epochs and max_steps are both set"},
           BadSpec{"shapes_demo",
                   {"batch_size=30000"},
                   invalid,
                   "batch_size 30000 exceeds the 20000 training images"},
           BadSpec{"shapes_demo",
                   {"accumulation_steps=3"},
                   invalid,
                   "accumulation_steps 3 does not divide batch_size 64"},
           BadSpec{"shapes_demo",
                   {"optimizer.learning_rate=0"},
                   invalid,
                   "optimizer.learning_rate is 0"},
           BadSpec{"shapes_demo",
                   {"optimizer.learning_rate=inf"},
                   invalid,
                   "optimizer.learning_rate is inf"},
           BadSpec{
               "shapes_demo", {"optimizer.momentum=0.9"}, invalid, "applies to optimizer.type sgd"},
           BadSpec{"shapes_demo",
                   {"optimizer.type=sgd", "optimizer.beta1=0.9"},
                   invalid,
                   "applies to optimizer.type adamw, adam, lamb, lion"},
           BadSpec{"shapes_demo", {"optimizer.beta2=1"}, invalid, "optimizer.beta2 is 1"},
           BadSpec{"shapes_demo", {"label_smoothing=1"}, invalid, "label_smoothing is 1"},
           BadSpec{"shapes_demo", {"checkpoint.keep_last=0"}, invalid, "checkpoint.keep_last is 0"},
           BadSpec{"shapes_demo",
                   {"data.source=folder:" + root + "/none"},
                   absl::StatusCode::kNotFound,
                   "none"},
           BadSpec{"shapes_demo",
                   {"data.source=folder:/etc"},
                   absl::StatusCode::kPermissionDenied,
                   "not under a data root"},
           BadSpec{"shapes_demo", {"data.source=folder:" + root + "/empty"}, invalid, "empty"},
           BadSpec{"shapes_demo",
                   {"init=" + root + "/none.safetensors"},
                   absl::StatusCode::kNotFound,
                   "none.safetensors"},
           BadSpec{"shapes_demo",
                   {"init=/etc/passwd.safetensors"},
                   absl::StatusCode::kPermissionDenied,
                   "init"},
           BadSpec{"shapes_demo",
                   {"init=" + root + "/weights.pth"},
                   absl::StatusCode::kNotFound,
                   "weights.pth"},
           BadSpec{
               "shapes_demo", {"init=" + root}, absl::StatusCode::kNotFound, "holds no weights"},
           BadSpec{"shapes_demo",
                   {"init_prefix=module."},
                   invalid,
                   "init_prefix has no effect without init"},
           BadSpec{"shapes_demo",
                   {"init_weights=raw"},
                   invalid,
                   "init_weights has no effect without init"},
           BadSpec{"shapes_demo", {"model.num_classes=0"}, invalid, "model.num_classes is 0"},
           BadSpec{"shapes_demo", {"init=model:x"}, invalid, "no models to take it from"},
           BadSpec{"shapes_demo", {"init=run:x"}, invalid, "no models to take it from"},
       }) {
    const auto resolved = Resolve(bad.preset, bad.assignments);
    EXPECT_EQ(resolved.status().code(), bad.code) << bad.message << ": " << resolved.status();
    EXPECT_THAT(std::string(resolved.status().message()), HasSubstr(bad.message));
  }
}

// One file with raw and averaged weights of the same model behind a prefix.
TEST_F(ResolveSpecTest, WhatIsTakenOfInitsFileIsPartOfTheSpec) {
  const std::vector<std::string> model = {"model.embed_dim=24", "model.depth=1",
                                          "model.num_heads=2"};
  const auto plain = Resolve("shapes_demo", model);
  ASSERT_TRUE(plain.ok()) << plain.status();
  VisionTransformer module(plain->spec.model());
  module->Initialize(1);
  NamedTensors tensors;
  for (const auto& [name, tensor] : StateDict(*module)) {
    tensors.emplace_back("net." + name, tensor);
    tensors.emplace_back("net_ema." + name, tensor + 1);
  }
  const std::string file = (root_ / "both.safetensors").string();
  ASSERT_TRUE(WriteSafetensors(file, tensors, {}).ok());
  const auto resolve = [&](const std::vector<std::string>& more) {
    std::vector<std::string> assignments = model;
    assignments.push_back("init=" + file);
    assignments.insert(assignments.end(), more.begin(), more.end());
    return Resolve("shapes_demo", assignments);
  };
  const auto averaged = resolve({});
  ASSERT_TRUE(averaged.ok()) << averaged.status();
  EXPECT_EQ(averaged->spec.init_prefix(), "net_ema.");
  EXPECT_EQ(averaged->spec.init_weights(), vit::v1::WEIGHTS_CHOICE_AVERAGED);
  const auto again = PlanRun("", averaged->spec, environment_);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->spec.init_prefix(), "net_ema.");
  const auto raw = resolve({"init_weights=raw"});
  ASSERT_TRUE(raw.ok()) << raw.status();
  EXPECT_EQ(raw->spec.init_prefix(), "net.");
  const auto none = resolve({"init_prefix=module."});
  EXPECT_EQ(none.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("prefix 'module.'"));
}

TEST_F(ResolveSpecTest, Bfloat16IsTheDefaultOnlyWhereItIsFaster) {
  const auto least_width = environment_.device.least_bfloat16_width();
  const auto expected = [&](int width) {
    return least_width.has_value() && width >= *least_width ? vit::v1::PRECISION_BFLOAT16
                                                            : vit::v1::PRECISION_FLOAT32;
  };
  EXPECT_EQ(Resolve("cifar10_small", {})->spec.precision(), expected(96));
  EXPECT_EQ(Resolve("vit_small_patch16_224", {})->spec.precision(), expected(384));
  EXPECT_EQ(Resolve("cifar10_small", {"precision=bfloat16"})->spec.precision(),
            vit::v1::PRECISION_BFLOAT16);
}

TEST_F(ResolveSpecTest, EstimatedMemoryGrowsWithWhatNeedsIt) {
  const auto estimate = [&](const std::vector<std::string>& assignments) {
    return Resolve("cifar10_small", assignments)->estimated_memory.host_bytes;
  };
  const int64_t base = estimate({});
  EXPECT_GT(estimate({"batch_size=256"}), base);
  EXPECT_LT(estimate({"accumulation_steps=4"}), base);
  EXPECT_GT(estimate({"model.depth=8"}), base);
  EXPECT_LT(estimate({"optimizer.type=sgd"}), base);
}

}  // namespace
}  // namespace vit
