#include "core/train/optim/averaging.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "core/base/compute/named_tensors.h"

namespace vit {
namespace {

// A parameter that counts as decayed, one that does not, and running statistics.
class Toy : public torch::nn::Module {
 public:
  Toy() {
    matrix = register_parameter("matrix", at::zeros({2, 3}));
    bias = register_parameter("bias", at::zeros({2}));
    mean = register_buffer("mean", at::zeros({2}));
    count = register_buffer("count", at::zeros({}, at::kLong));
  }
  at::Tensor matrix, bias, mean, count;
};

class WeightAveragesTest : public ::testing::Test {
 protected:
  void Make() {
    optimizer_.set_weight_decay(0.1);
    optimizer_.set_layer_decay(1);
    optimizer_.set_encoder_learning_rate_multiplier(1);
    groups_ = FlattenParameters(toy_, optimizer_);
    averages_.emplace(config_, /*steps_per_epoch=*/2, &toy_, &groups_);
  }
  // Runs an update after which every weight is `value`.
  void Step(int64_t step, double value) {
    torch::NoGradGuard no_grad;
    toy_.matrix.fill_(value);
    toy_.bias.fill_(value);
    toy_.mean.fill_(value);
    toy_.count.fill_(step + 1);
    averages_->Update(step);
  }
  // Returns the value of every weight as evaluation sees it after `steps` updates; -1 if they
  // differ.
  double Seen(int64_t steps) {
    const WeightAverages::InUse in_use(&*averages_, steps);
    const double value = toy_.matrix[0][0].item<double>();
    for (const at::Tensor& weight : {toy_.matrix, toy_.bias, toy_.mean}) {
      if (!at::allclose(weight.detach(), at::full_like(weight, value))) return -1;
    }
    return value;
  }

  vit::v1::AveragingConfig config_;
  vit::v1::OptimizerConfig optimizer_;
  Toy toy_;
  std::vector<ParameterGroup> groups_;
  std::optional<WeightAverages> averages_;
};

TEST_F(WeightAveragesTest, WithoutAveragingTheWeightsAreSeen) {
  Make();
  Step(0, 4);
  EXPECT_EQ(Seen(1), 4);
  EXPECT_TRUE(averages_->State().empty());
}

TEST_F(WeightAveragesTest, TheExponentialAverageIsTheFormula) {
  config_.set_ema_decay(0.9);
  Make();
  double expected = 0;
  for (int64_t step = 0; step < 6; ++step) {
    const double value = 1.0 + static_cast<double>(step * step);
    Step(step, value);
    expected = 0.9 * expected + 0.1 * value;
    EXPECT_NEAR(Seen(step + 1), expected, 1e-5);
    EXPECT_EQ(toy_.matrix[0][0].item<double>(), value);  // back again
  }
  const WeightAverages::InUse in_use(&*averages_, 6);
  EXPECT_EQ(toy_.count.item<int64_t>(), 6);
}

TEST_F(WeightAveragesTest, WarmupStartsWithALowDecay) {
  config_.set_ema_decay(0.99);
  config_.set_ema_warmup(true);
  EXPECT_DOUBLE_EQ(EmaDecay(config_, 0), 0.1);
  EXPECT_DOUBLE_EQ(EmaDecay(config_, 9), 10.0 / 19);
  EXPECT_DOUBLE_EQ(EmaDecay(config_, 100000), 0.99);
}

TEST_F(WeightAveragesTest, SwaIsTheMeanOfTheEndsOfItsPeriods) {
  config_.set_swa_start_epoch(1);  // step 2
  Make();
  for (int64_t step = 0; step < 8; ++step) {
    Step(step, static_cast<double>(10 * step));
    const int64_t done = step + 1;
    // Averaged in after steps 4, 6 and 8, whose weights are 30, 50 and 70.
    const double expected = done < 4   ? static_cast<double>(10 * step)
                            : done < 6 ? 30
                            : done < 8 ? 40
                                       : 50;
    EXPECT_NEAR(Seen(done), expected, 1e-4) << done;
  }
}

TEST_F(WeightAveragesTest, SwaTakesOverFromTheExponentialAverage) {
  config_.set_ema_decay(0.5);
  config_.set_swa_start_epoch(1);
  config_.set_swa_every_steps(1);
  Make();
  Step(0, 8);
  EXPECT_NEAR(Seen(1), 4, 1e-6);
  Step(1, 8);
  EXPECT_NEAR(Seen(2), 6, 1e-6);
  Step(2, 100);
  EXPECT_NEAR(Seen(3), 100, 1e-6);
}

TEST_F(WeightAveragesTest, ItsStateRestoresIt) {
  config_.set_ema_decay(0.5);
  config_.set_swa_start_epoch(0);
  Make();
  for (int64_t step = 0; step < 4; ++step) Step(step, static_cast<double>(step));
  TensorMap state;
  for (const auto& [name, tensor] : averages_->State()) state[name] = tensor.clone();
  EXPECT_EQ(state.size(), 3 * 4);
  Step(4, 50);
  Step(5, 60);
  const double later = Seen(6);
  Step(6, 1000);
  ASSERT_TRUE(averages_->LoadState(state).ok());
  EXPECT_EQ(toy_.matrix[1][2].item<double>(), 3);
  Step(4, 50);
  Step(5, 60);
  EXPECT_EQ(Seen(6), later);
  state.erase("ema.bias");
  EXPECT_EQ(averages_->LoadState(state).code(), absl::StatusCode::kInvalidArgument);
}

TEST(SwaLearningRateTest, GoesFromTheScheduleToItsOwnByHalfACosine) {
  vit::v1::AveragingConfig config;
  config.set_swa_start_epoch(2);
  config.set_swa_anneal_epochs(1);
  const SwaSteps swa = *SwaStepsOf(config, 10);
  EXPECT_EQ(swa.start, 20);
  EXPECT_EQ(swa.period, 10);
  EXPECT_EQ(SwaLearningRate(config, swa, 0.3, 25), 0.3);  // without its own rate
  config.set_swa_learning_rate(0.1);
  EXPECT_EQ(SwaLearningRate(config, swa, 0.3, 19), 0.3);
  EXPECT_NEAR(SwaLearningRate(config, swa, 0.3, 24), 0.2, 1e-12);
  EXPECT_NEAR(SwaLearningRate(config, swa, 0.3, 29), 0.1, 1e-12);
  EXPECT_NEAR(SwaLearningRate(config, swa, 0.3, 500), 0.1, 1e-12);
}

}  // namespace
}  // namespace vit
