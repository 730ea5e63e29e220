#include "core/train/training_step.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <limits>
#include <numeric>

#include "core/base/compute/named_tensors.h"
#include "core/model/model_config.h"
#include "core/spec/defaults.h"
#include "core/tensor_file/safetensors.h"
#include "core/weights/load_weights.h"

namespace vit {
namespace {

const std::filesystem::path kParity = std::filesystem::path(VIT_SOURCE_DIR) / "tests/data/parity";

// The spec of the reference trajectory: timm and torch.optim.AdamW over 20 steps.
vit::v1::TrainingSpec TrajectorySpec() {
  vit::v1::TrainingSpec spec;
  auto* model = spec.mutable_model();
  model->set_image_size(32);
  model->set_patch_size(4);
  model->set_embed_dim(32);
  model->set_depth(2);
  model->set_num_heads(4);
  FillModelDefaults(10, model);
  auto* optimizer = spec.mutable_optimizer();
  optimizer->set_type(vit::v1::OPTIMIZER_TYPE_ADAMW);
  optimizer->set_learning_rate(1e-3);
  optimizer->set_weight_decay(0.05);
  optimizer->set_beta1(0.9);
  optimizer->set_beta2(0.999);
  optimizer->set_eps(1e-8);
  spec.mutable_schedule()->set_type(vit::v1::SCHEDULE_TYPE_COSINE);
  spec.mutable_loss()->set_type(vit::v1::LOSS_TYPE_CROSS_ENTROPY);
  spec.mutable_loss()->set_hardest_fraction(1);
  spec.set_label_smoothing(0.1);
  spec.set_clip_grad_norm(1);
  spec.set_accumulation_steps(1);
  spec.set_precision(vit::v1::PRECISION_FLOAT32);
  return spec;
}

std::vector<int> AllSlots(int count) {
  std::vector<int> slots(count);
  std::iota(slots.begin(), slots.end(), 0);
  return slots;
}

double RelativeError(const at::Tensor& actual, const at::Tensor& expected) {
  return ((actual - expected).abs().max() / expected.abs().max().clamp_min(1e-12)).item<double>();
}

TEST(TrainingStepTest, TwentyStepsFollowTimmsTrajectory) {
  auto init = ReadSafetensors(kParity / "trajectory_init.safetensors");
  auto expected = ReadSafetensors(kParity / "trajectory.safetensors");
  ASSERT_TRUE(init.ok() && expected.ok());
  const auto& tensors = expected->tensors;
  const vit::v1::TrainingSpec spec = TrajectorySpec();
  VisionTransformer model(spec.model());
  ASSERT_TRUE(LoadWeights(init->tensors, *model).ok());
  model->train();
  TrainingStep training(spec, model.get(), {.per_epoch = 20, .warmup = 5, .total = 20});
  for (int64_t step = 0; step < 20; ++step) {
    training.ResetSums();
    training.Run(tensors.at("images")[step], tensors.at("labels")[step], AllSlots(4), 4, step);
    const double loss = tensors.at("losses")[step].item<double>();
    EXPECT_NEAR(training.LossSum() / 4, loss, 1e-4 * loss) << "step " << step;
    const double norm = tensors.at("grad_norms")[step].item<double>();
    EXPECT_NEAR(training.GradNorm(), norm, 1e-3 * norm) << "step " << step;
    EXPECT_NEAR(training.LearningRateAt(step), tensors.at("lrs")[step].item<double>(), 1e-9)
        << "step " << step;
  }
  torch::NoGradGuard no_grad;
  for (const auto& item : model->named_parameters()) {
    at::Tensor actual = item.value(), final = tensors.at("final." + item.key());
    if (item.key().ends_with("qkv.bias")) {
      // The key third has a gradient of rounding noise alone, which Adam scales up.
      EXPECT_LT((actual - final).slice(0, 32, 64).abs().max().item<double>(), 2e-3);
      actual = at::cat({actual.slice(0, 0, 32), actual.slice(0, 64)});
      final = at::cat({final.slice(0, 0, 32), final.slice(0, 64)});
    }
    EXPECT_LT(RelativeError(actual, final), 1e-4) << item.key();
  }
}

class SmallStepTest : public ::testing::Test {
 protected:
  void SetUp() override {
    spec_ = TrajectorySpec();
    torch::manual_seed(1);
    images_ = at::randn({8, 3, 32, 32});
    labels_ = at::arange(8) % 10;
  }
  // The weights after one update.
  TensorMap Weights(const at::Tensor& images, const at::Tensor& labels,
                    const std::vector<int>& slots) {
    VisionTransformer model(spec_.model());
    model->Initialize(3);
    model->train();
    TrainingStep training(spec_, model.get(), {.per_epoch = 20, .warmup = 0, .total = 20});
    training.Run(images, labels, slots, 8, 0);
    loss_ = training.LossSum() / static_cast<double>(images.size(0));
    bad_step_ = training.FirstBadStep();
    TensorMap weights;
    for (const auto& item : model->named_parameters()) {
      weights[item.key()] = item.value().detach().clone();
    }
    return weights;
  }
  vit::v1::TrainingSpec spec_;
  at::Tensor images_, labels_;
  double loss_ = 0;
  std::optional<int64_t> bad_step_;
};

TEST_F(SmallStepTest, AccumulationChangesNothingButRounding) {
  // SGD without momentum shows the gradient itself; Adam's first step shows only its sign.
  spec_.clear_optimizer();
  spec_.mutable_optimizer()->set_type(vit::v1::OPTIMIZER_TYPE_SGD);
  spec_.mutable_optimizer()->set_learning_rate(0.1);
  const auto whole = Weights(images_, labels_, AllSlots(8));
  const double whole_loss = loss_;
  spec_.set_accumulation_steps(4);
  const auto parts = Weights(images_, labels_, AllSlots(8));
  EXPECT_NEAR(loss_, whole_loss, 1e-6);
  for (const auto& [name, value] : whole) {
    EXPECT_LT((value - parts.at(name)).abs().max().item<double>(), 1e-6) << name;
  }
}

TEST_F(SmallStepTest, ALossThatIsNotFiniteSuppressesTheUpdateAndIsRemembered) {
  const auto before = [&] {
    VisionTransformer model(spec_.model());
    model->Initialize(3);
    return model->named_parameters()["head.weight"].detach().clone();
  }();
  at::Tensor bad = images_.clone();
  bad[2][0][0][0] = std::numeric_limits<float>::quiet_NaN();
  const auto after = Weights(bad, labels_, AllSlots(8));
  EXPECT_EQ(bad_step_, 0);
  EXPECT_TRUE(at::equal(after.at("head.weight"), before));
  Weights(images_, labels_, AllSlots(8));
  EXPECT_EQ(bad_step_, std::nullopt);
}

TEST_F(SmallStepTest, AnEmptyMicroBatchIsLeftOut) {
  spec_.set_accumulation_steps(2);
  // Places 0..3 are unreadable: only the second micro-batch is left.
  const auto half = Weights(images_.slice(0, 4), labels_.slice(0, 4), {4, 5, 6, 7});
  spec_.set_accumulation_steps(1);
  const auto same = Weights(images_.slice(0, 4), labels_.slice(0, 4), {4, 5, 6, 7});
  for (const auto& [name, value] : half) EXPECT_TRUE(at::equal(value, same.at(name))) << name;
}

}  // namespace
}  // namespace vit
