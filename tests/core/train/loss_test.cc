#include "core/train/recipe/loss.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <functional>

namespace vit {
namespace {

namespace F = torch::nn::functional;

constexpr int kImages = 6, kClasses = 4;

class LossTest : public ::testing::Test {
 protected:
  void SetUp() override {
    torch::manual_seed(11);
    logits_ = at::randn({kImages, kClasses}) * 2;
    targets_.labels = at::tensor({0, 1, 2, 3, 1, 1}, at::kLong);
    config_.set_type(vit::v1::LOSS_TYPE_CROSS_ENTROPY);
    config_.set_hardest_fraction(1);
  }
  void Mix() { targets_.parts = at::randn({kImages, kClasses}).softmax(1); }
  void Weigh() {
    for (const double weight : {0.5, 1.5, 3.0, 0.25}) config_.add_class_weights(weight);
  }
  at::Tensor Weights() const {
    return at::tensor(
               std::vector<double>(config_.class_weights().begin(), config_.class_weights().end()))
        .to(at::kFloat);
  }

  // The loss of an update in one micro-batch.
  double Value() const {
    const Loss loss(config_, smoothing_, kClasses, at::kCPU);
    return (loss.Sum(logits_, targets_) / loss.Weight(targets_)).item<double>();
  }
  // Returns the mean over images and classes of `term`(part of the class, its log softmax),
  // smoothed and weighted, computed one by one.
  double ByHand(const std::function<double(double part, double log_p)>& term) const {
    const at::Tensor log_p = logits_.log_softmax(1);
    double sum = 0, weights = 0;
    for (int i = 0; i < kImages; ++i) {
      for (int c = 0; c < kClasses; ++c) {
        const double part = targets_.parts.defined()
                                ? targets_.parts[i][c].item<double>()
                                : (targets_.labels[i].item<int64_t>() == c ? 1.0 : 0.0);
        const double weight = config_.class_weights().empty() ? 1 : config_.class_weights(c);
        const double smoothed = part * (1 - smoothing_) + smoothing_ / kClasses;
        sum += weight * term(smoothed, log_p[i][c].item<double>());
        weights += weight * part;
      }
    }
    return sum / weights;
  }

  vit::v1::LossConfig config_;
  double smoothing_ = 0;
  at::Tensor logits_;
  Targets targets_;
};

double CrossEntropy(double part, double log_p) { return -part * log_p; }

TEST_F(LossTest, CrossEntropyIsLibTorchs) {
  for (const double smoothing : {0.0, 0.1}) {
    smoothing_ = smoothing;
    config_.clear_class_weights();
    EXPECT_NEAR(Value(),
                F::cross_entropy(logits_, targets_.labels,
                                 F::CrossEntropyFuncOptions().label_smoothing(smoothing))
                    .item<double>(),
                1e-6);
    Weigh();
    EXPECT_NEAR(
        Value(),
        F::cross_entropy(logits_, targets_.labels,
                         F::CrossEntropyFuncOptions().weight(Weights()).label_smoothing(smoothing))
            .item<double>(),
        1e-6);
    EXPECT_NEAR(Value(), ByHand(CrossEntropy), 1e-6);
  }
}

TEST_F(LossTest, CrossEntropyOfMixedTargetsIsLibTorchs) {
  Mix();
  smoothing_ = 0.2;
  EXPECT_NEAR(
      Value(),
      F::cross_entropy(logits_, targets_.parts, F::CrossEntropyFuncOptions().label_smoothing(0.2))
          .item<double>(),
      1e-6);
  Weigh();
  EXPECT_NEAR(Value(), ByHand(CrossEntropy), 1e-6);
}

TEST_F(LossTest, MixedTargetsOfOneClassAreThatClass) {
  Weigh();
  smoothing_ = 0.1;
  const double plain = Value();
  targets_.parts = at::one_hot(targets_.labels, kClasses).to(at::kFloat);
  EXPECT_NEAR(Value(), plain, 1e-6);
}

TEST_F(LossTest, BinaryCrossEntropyIsLibTorchs) {
  config_.set_type(vit::v1::LOSS_TYPE_BINARY_CROSS_ENTROPY);
  smoothing_ = 0.1;
  const at::Tensor parts = at::one_hot(targets_.labels, kClasses) * 0.9 + 0.1 / kClasses;
  EXPECT_NEAR(Value(), F::binary_cross_entropy_with_logits(logits_, parts).item<double>(), 1e-6);
}

TEST_F(LossTest, ABinaryThresholdMakesMixedClassesWhole) {
  config_.set_type(vit::v1::LOSS_TYPE_BINARY_CROSS_ENTROPY);
  config_.set_binary_threshold(0.2);
  targets_.parts = at::tensor({0.7F, 0.3F, 0.0F, 0.0F}).expand({kImages, kClasses});
  const at::Tensor whole = at::tensor({1.0F, 1.0F, 0.0F, 0.0F}).expand({kImages, kClasses});
  EXPECT_NEAR(Value(), F::binary_cross_entropy_with_logits(logits_, whole).item<double>(), 1e-6);
}

TEST_F(LossTest, FocalFollowsItsFormula) {
  config_.set_type(vit::v1::LOSS_TYPE_FOCAL);
  config_.set_focal_gamma(0);
  EXPECT_NEAR(Value(), ByHand(CrossEntropy), 1e-6);
  Weigh();
  smoothing_ = 0.1;
  for (const double gamma : {0.5, 2.0, 3.5}) {
    config_.set_focal_gamma(gamma);
    EXPECT_NEAR(Value(), ByHand([&](double part, double log_p) {
                  return -part * std::pow(1 - std::exp(log_p), gamma) * log_p;
                }),
                1e-6);
  }
}

TEST_F(LossTest, FocalHasAGradientWhereTheImageIsCertain) {
  config_.set_type(vit::v1::LOSS_TYPE_FOCAL);
  config_.set_focal_gamma(0.5);
  at::Tensor logits = at::tensor({100.0F, 0.0F, 0.0F, 0.0F}).expand({1, 4}).clone();
  logits.requires_grad_(true);
  const Loss loss(config_, 0, kClasses, at::kCPU);
  loss.Sum(logits, {.labels = at::tensor({0}, at::kLong), .parts = {}}).backward();
  EXPECT_TRUE(at::isfinite(logits.grad()).all().item<bool>());
}

TEST_F(LossTest, TheHardestFractionIsTheMeanOfTheHighestLosses) {
  const at::Tensor each = at::cross_entropy_loss(logits_, targets_.labels, {}, at::Reduction::None);
  const at::Tensor sorted = std::get<0>(each.sort(0, /*descending=*/true));
  config_.set_hardest_fraction(0.5);
  EXPECT_NEAR(Value(), sorted.slice(0, 0, 3).mean().item<double>(), 1e-6);
  config_.set_hardest_fraction(0.01);  // one is always left
  EXPECT_NEAR(Value(), sorted[0].item<double>(), 1e-6);
  // Weighted: the highest weighted losses, over their weights.
  Weigh();
  config_.set_hardest_fraction(0.5);
  const at::Tensor weights = Weights().index_select(0, targets_.labels);
  const auto [highest, places] = (each * weights).topk(3);
  EXPECT_NEAR(Value(), (highest.sum() / weights.index_select(0, places).sum()).item<double>(),
              1e-6);
}

TEST_F(LossTest, MicroBatchesAddUp) {
  Weigh();
  Mix();
  for (const auto type : {vit::v1::LOSS_TYPE_CROSS_ENTROPY, vit::v1::LOSS_TYPE_FOCAL,
                          vit::v1::LOSS_TYPE_BINARY_CROSS_ENTROPY}) {
    config_.set_type(type);
    config_.set_focal_gamma(2);
    const Loss loss(config_, 0.1, kClasses, at::kCPU);
    const at::Tensor parts = loss.Sum(logits_.slice(0, 0, 2), targets_.Slice(0, 2)) +
                             loss.Sum(logits_.slice(0, 2), targets_.Slice(2, kImages));
    EXPECT_NEAR(parts.item<double>(), loss.Sum(logits_, targets_).item<double>(), 1e-5);
  }
}

TEST_F(LossTest, DistillationFollowsItsFormulas) {
  const at::Tensor teacher = at::randn({kImages, kClasses}) * 3;
  vit::v1::DistillationConfig config;
  config.set_type(vit::v1::DISTILLATION_TYPE_HARD);
  EXPECT_NEAR(DistillationSum(config, logits_, teacher).item<double>(),
              F::cross_entropy(logits_, teacher.argmax(1)).item<double>() * kImages, 1e-5);
  config.set_type(vit::v1::DISTILLATION_TYPE_SOFT);
  for (const double t : {1.0, 3.0}) {
    config.set_temperature(t);
    const at::Tensor p = (teacher / t).softmax(1), q = (logits_ / t).softmax(1);
    const double expected = t * t * (p * (p.log() - q.log())).sum().item<double>();
    EXPECT_NEAR(DistillationSum(config, logits_, teacher).item<double>(), expected,
                1e-5 * std::abs(expected));
  }
}

}  // namespace
}  // namespace vit
