#include "core/spec/presets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/compute/compute_budget.h"
#include "core/base/file.h"
#include "core/model/model_config.h"
#include "core/model/vision_transformer.h"
#include "core/spec/defaults.h"
#include "core/train/plan_run.h"
#include "core/train/resolve_spec.h"
#include "core/train/trainer.h"
#include "proto/set_field.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::vit::v1::Preset;

class PresetsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    fs::create_directories(root_);
    environment_.data_roots = {root_.string()};
  }
  void TearDown() override { fs::remove_all(root_); }

  // Writes weights of this shape: a header, and a hole in place of the numbers.
  std::string MakeWeights(const Preset& preset) {
    vit::v1::ModelConfig config = preset.spec().model();
    FillModelDefaults(1000, &config);
    const VisionTransformer model(config);
    nlohmann::ordered_json header;
    int64_t bytes = 0;
    for (const auto& [name, value] : StateDict(*model)) {
      const int64_t size = value.numel() * value.element_size();
      header[name] = {{"dtype", value.is_floating_point() ? "F32" : "I64"},
                      {"shape", value.sizes().vec()},
                      {"data_offsets", {bytes, bytes + size}}};
      bytes += size;
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    const uint64_t length = text.size();
    const fs::path path = root_ / (preset.name() + ".safetensors");
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(&length), sizeof(length))
        .write(text.data(), static_cast<std::streamsize>(text.size()));
    fs::resize_file(path, 8 + length + bytes);
    return path.string();
  }

  absl::StatusOr<ResolvedSpec> Resolve(const Preset& preset,
                                       const std::vector<std::string>& assignments) {
    vit::v1::TrainingSpec spec;
    spec.mutable_data()->set_source("shapes:");
    // As many as ImageNet, so that no recipe's warmup is too long.
    spec.mutable_data()->mutable_shapes()->set_train_size(1'281'167);
    for (const std::string& assignment : assignments) {
      EXPECT_TRUE(SetField(assignment, &spec).ok()) << assignment;
    }
    return PlanRun(preset.name(), spec, environment_);
  }

  fs::path root_;
  TrainingEnvironment environment_;
};

// Ignores all reports.
class Silent : public TrainObserver {
  void OnPhase(const std::string&, double) override {}
  void OnStep(const Step&) override {}
  void OnMetrics(const vit::v1::MetricPoint&) override {}
  absl::Status OnBeforeCheckpoint(int64_t) override { return absl::OkStatus(); }
  void OnCheckpoint(const vit::v1::CheckpointInfo&, absl::Duration) override {}
  void OnCheckpointFailed(int64_t, const absl::Status&) override {}
  void OnBadImage(const BadImage&) override {}
  void OnStart(int64_t, const std::string&) override {}
};

TEST_F(PresetsTest, EveryOneDescribesItselfAndResolves) {
  ASSERT_FALSE(AllPresets().empty());
  for (const Preset& preset : AllPresets()) {
    EXPECT_FALSE(preset.description().empty()) << preset.name();
    EXPECT_TRUE(preset.spec().has_model()) << preset.name();
    const bool needs_init = !preset.needs_init().empty();
    const auto resolved = Resolve(preset, needs_init ? std::vector{"init=" + MakeWeights(preset)}
                                                     : std::vector<std::string>());
    EXPECT_TRUE(resolved.ok()) << preset.name() << ": " << resolved.status();
  }
}

TEST_F(PresetsTest, OneThatStartsFromWeightsSaysWhichAndFromWhere) {
  int count = 0;
  for (const Preset& preset : AllPresets()) {
    if (preset.needs_init().empty()) continue;
    ++count;
    const absl::Status refused = Resolve(preset, {}).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << preset.name();
    EXPECT_THAT(std::string(refused.message()), HasSubstr(preset.needs_init()));
    EXPECT_TRUE(Resolve(preset, {"init="}).ok()) << preset.name();  // random on request
  }
  EXPECT_GE(count, 3);
}

TEST_F(PresetsTest, OneForCertainDataSaysWhich) {
  const absl::Status refused = PlanRun("deit_small_imagenet", {}, environment_).status();
  EXPECT_THAT(std::string(refused.message()), HasSubstr("is for ImageNet-1k"));
}

TEST_F(PresetsTest, EveryRecipeForSmallImagesTrains) {
  int count = 0;
  for (const Preset& preset : AllPresets()) {
    if (!preset.spec().has_optimizer() || preset.spec().model().image_size() != 32) continue;
    ++count;
    auto resolved = Resolve(
        preset, {"init=", "max_steps=20", "batch_size=8", "schedule.warmup_steps=2",
                 "data.shapes.train_size=80", "data.shapes.val_size=16", "log_every_steps=5"});
    ASSERT_TRUE(resolved.ok()) << preset.name() << ": " << resolved.status();
    Silent silent;
    TrainerOptions options;
    options.resolved = *std::move(resolved);
    options.environment = environment_;
    options.directory = root_ / preset.name();
    options.observer = &silent;
    ASSERT_TRUE(CreateDirectories(options.directory).ok());
    absl::StatusOr<TrainOutcome> outcome = absl::UnknownError("did not run");
    ComputeBudget::StartThread("train", 2, [&] { outcome = Train(options, {}); }).join();
    EXPECT_TRUE(outcome.ok()) << preset.name() << ": " << outcome.status();
  }
  EXPECT_GE(count, 8);
}

}  // namespace
}  // namespace vit
