#include "core/train/recipe/teacher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/checksums.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/file.h"
#include "core/model/model_config.h"
#include "core/spec/defaults.h"
#include "core/tensor_file/safetensors.h"
#include "core/train/plan_run.h"
#include "core/train/recipe/resolve_teacher.h"
#include "core/train/resolve_spec.h"
#include "core/weights/model_directory.h"
#include "proto/set_field.h"
#include "tests/core/models/fake_models.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class TeacherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::path(::testing::TempDir()) /
                 ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(directory_);
    models_.Add("big", directory_ / "big");
    environment_.models = &models_;
    spec_.mutable_data()->set_source("shapes:");
    spec_.mutable_distillation()->set_teacher("model:big");
  }
  void TearDown() override { fs::remove_all(directory_); }

  // Writes the teacher "big": 24 x 24 pixels, its own normalisation, a width that no other model
  // has.
  void WriteTeacher(std::vector<std::string> labels) {
    description_ = {};
    description_.labels = std::move(labels);
    auto* model = &description_.model;
    model->set_image_size(24);
    model->set_patch_size(8);
    model->set_embed_dim(16);
    model->set_depth(1);
    model->set_num_heads(2);
    FillModelDefaults(static_cast<int>(description_.labels.size()), model);
    for (const double mean : {0.4, 0.5, 0.6}) description_.preprocessing.add_mean(mean);
    for (const double std : {0.2, 0.3, 0.25}) description_.preprocessing.add_std(std);
    description_.preprocessing.mutable_eval()->set_crop_pct(1);
    description_.preprocessing.set_interpolation(vit::v1::INTERPOLATION_BICUBIC);
    description_.preprocessing.set_apply_orientation(true);
    model_ = VisionTransformer(description_.model);
    model_->Initialize(4);
    model_->eval();
    const fs::path to = directory_ / "big";
    ASSERT_TRUE(CreateDirectories(to).ok());
    NamedTensors weights;
    for (const auto& [name, value] : StateDict(*model_)) weights.emplace_back(name, value.detach());
    ASSERT_TRUE(WriteSafetensors(to / "model.safetensors", weights, {}).ok());
    ASSERT_TRUE(WriteModelDescription(to, description_).ok());
    ASSERT_TRUE(WriteChecksums(to, {"model.safetensors"}).ok());
  }

  static std::vector<std::string> ShapeNames() {
    vit::v1::DataConfig data;
    data.set_source("shapes:");
    return (*DataSet::Open(data, {}))->class_names();
  }

  absl::StatusOr<ResolvedSpec> Resolve() { return PlanRun("shapes_demo", spec_, environment_); }
  std::string Refusal() {
    const absl::Status status = Resolve().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  }

  fs::path directory_;
  FakeModels models_;
  TrainingEnvironment environment_;
  ModelDescription description_;
  VisionTransformer model_{nullptr};
  vit::v1::TrainingSpec spec_;
};

TEST_F(TeacherTest, IsPinnedAndItsMemoryCounted) {
  WriteTeacher(ShapeNames());
  const auto resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->spec.distillation().teacher(), "model:big@1");
  EXPECT_EQ(resolved->spec.distillation().type(), vit::v1::DISTILLATION_TYPE_HARD);
  spec_.clear_distillation();
  const auto without = Resolve();
  ASSERT_TRUE(without.ok()) << without.status();
  EXPECT_EQ(resolved->estimated_memory.host_bytes - without->estimated_memory.host_bytes,
            static_cast<int64_t>(fs::file_size(directory_ / "big/model.safetensors")));
}

TEST_F(TeacherTest, SeesImagesAsItNeedsThem) {
  WriteTeacher(ShapeNames());
  const auto resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  auto teacher = Teacher::Load(resolved->models.teacher->directory, resolved->spec, Device::Cpu());
  ASSERT_TRUE(teacher.ok()) << teacher.status();
  torch::manual_seed(5);
  const at::Tensor images = at::rand({2, 3, 24, 24});  // 0..1
  const auto normalized = [&](const vit::v1::DataConfig& data) {
    const auto values = [](const auto& field) {
      return at::tensor(std::vector<double>(field.begin(), field.end()))
          .to(at::kFloat)
          .view({1, 3, 1, 1});
    };
    return (images - values(data.mean())) / values(data.std());
  };
  torch::NoGradGuard no_grad;
  const at::Tensor expected = model_->forward(normalized(description_.preprocessing));
  const at::Tensor actual = (*teacher)->Logits(normalized(resolved->spec.data()));
  EXPECT_LT((actual - expected).abs().max().item<double>(), 1e-5);
  // Images of the student's size, 32 x 32.
  const at::Tensor enlarged = at::_upsample_bicubic2d_aa(images, {32, 32}, false);
  EXPECT_EQ((*teacher)->Logits(enlarged).sizes(), at::IntArrayRef({2, 10}));
}

TEST_F(TeacherTest, ARunKeepsItsTeacher) {
  WriteTeacher(ShapeNames());
  const auto resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  const fs::path run = directory_ / "run";
  ASSERT_TRUE(CreateDirectories(run).ok());
  ASSERT_TRUE(KeepModels(*resolved, run).ok());
  fs::remove_all(directory_ / "big");
  models_.Clear();
  EXPECT_TRUE(Teacher::Load(KeptTeacher(run), resolved->spec, Device::Cpu()).ok());
  const auto again = PlanRun("", resolved->spec, environment_, {.directory = run});
  EXPECT_TRUE(again.ok()) << again.status();
}

TEST_F(TeacherTest, WhatCannotWorkIsNamedWithTheWayOut) {
  std::vector<std::string> labels = ShapeNames();
  std::swap(labels[2], labels[3]);
  WriteTeacher(labels);
  EXPECT_THAT(Refusal(),
              HasSubstr("its class 2 is '" + labels[2] + "', the data's is '" + labels[3] + "'"));
  WriteTeacher({"cat", "dog"});
  EXPECT_THAT(Refusal(), HasSubstr("has 2 classes, the data has 10"));
  WriteTeacher(ShapeNames());
  const vit::v1::TrainingSpec good = spec_;
  struct Case {
    std::vector<std::string> assignments;
    std::string message;
  };
  for (const Case& bad : std::vector<Case>{
           {{"distillation.teacher=/weights.pth"}, "expected model:NAME or run:ID"},
           {{"distillation.teacher=", "distillation.weight=0.5"},
            "no effect without distillation.teacher"},
           {{"distillation.weight=2"}, "distillation.weight is 2"},
           {{"distillation.temperature=2"}, "applies to distillation.type soft"},
           {{"distillation.type=soft", "distillation.temperature=0"},
            "distillation.temperature is 0"},
           {{"loss.hardest_fraction=0.5"}, "loss.hardest_fraction picks the images"},
       }) {
    spec_ = good;
    for (const std::string& assignment : bad.assignments) {
      ASSERT_TRUE(SetField(assignment, &spec_).ok()) << assignment;
    }
    EXPECT_THAT(Refusal(), HasSubstr(bad.message));
  }
  spec_ = good;
  spec_.mutable_distillation()->set_teacher("model:none");
  EXPECT_EQ(Resolve().status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace vit
