#include "core/train/evaluation/classification_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

namespace vit {
namespace {

using ::testing::ElementsAre;

// Logits whose softmax is these probabilities.
at::Tensor Logits(std::vector<float> probabilities, int classes) {
  return at::tensor(probabilities).view({-1, classes}).log();
}

TEST(ClassificationMetricsTest, FollowFromTheConfusionMatrix) {
  // Class 0: three images, two found; class 1: two images, one found; class 2: one, not found;
  // class 3: none, never predicted.
  MetricAccumulator metrics(4, 2, at::kCPU);
  const at::Tensor scores = at::tensor({5.0F, 1.0F, 0.0F, 0.0F,  //
                                        5.0F, 0.0F, 1.0F, 0.0F,  //
                                        1.0F, 5.0F, 0.0F, 0.0F,  //
                                        0.0F, 5.0F, 1.0F, 0.0F,  //
                                        5.0F, 0.0F, 1.0F, 0.0F,  //
                                        1.0F, 5.0F, 0.0F, 0.0F})
                                .view({6, 4});
  const at::Tensor labels = at::tensor({0, 0, 0, 1, 1, 2}, at::kLong);
  metrics.Add(scores.slice(0, 0, 4), labels.slice(0, 0, 4));
  metrics.Add(scores.slice(0, 4), labels.slice(0, 4));
  const ClassificationMetrics m = metrics.Compute();
  EXPECT_EQ(m.samples, 6);
  EXPECT_THAT(m.confusion, ElementsAre(2, 1, 0, 0,  //
                                       1, 1, 0, 0,  //
                                       0, 1, 0, 0,  //
                                       0, 0, 0, 0));
  EXPECT_THAT(m.actual, ElementsAre(3, 2, 1, 0));
  EXPECT_THAT(m.predicted, ElementsAre(3, 3, 0, 0));
  EXPECT_DOUBLE_EQ(m.accuracy, 3.0 / 6);
  // What scikit-learn's precision_recall_fscore_support gives with zero_division=0.
  EXPECT_DOUBLE_EQ(m.precision, (2.0 / 3 + 1.0 / 3 + 0) / 3);
  EXPECT_DOUBLE_EQ(m.recall, (2.0 / 3 + 1.0 / 2 + 0) / 3);
  EXPECT_DOUBLE_EQ(m.f1, (2.0 / 3 + 2.0 / 5 + 0) / 3);
  EXPECT_DOUBLE_EQ(m.precision_weighted, (3 * 2.0 / 3 + 2 * 1.0 / 3) / 6);
  EXPECT_DOUBLE_EQ(m.f1_weighted, (3 * 2.0 / 3 + 2 * 2.0 / 5) / 6);
  // The second-best score is right for image 2 (class 0), and for no other.
  EXPECT_DOUBLE_EQ(m.top_k_accuracy, 4.0 / 6);
  EXPECT_NEAR(m.loss, at::cross_entropy_loss(scores, labels).item<double>(), 1e-6);
}

TEST(ClassificationMetricsTest, CalibrationIsTheDistanceOfConfidenceAndAccuracyInItsBins) {
  MetricAccumulator metrics(2, 1, at::kCPU);
  // 0.9 and 0.92 share a bin, one of them right; 0.6 is alone and right.
  metrics.Add(Logits({0.9F, 0.1F, 0.08F, 0.92F, 0.6F, 0.4F}, 2), at::tensor({0, 0, 0}, at::kLong));
  const double expected = (std::abs(0.9 + 0.92 - 1) + std::abs(0.6 - 1)) / 3;
  EXPECT_NEAR(metrics.Compute().calibration_error, expected, 1e-6);
}

TEST(ClassificationMetricsTest, ManyClassesHaveNoConfusionMatrix) {
  MetricAccumulator metrics(kMaxConfusionClasses + 1, 5, at::kCPU);
  at::Tensor scores = at::zeros({1, kMaxConfusionClasses + 1});
  scores[0][7] = 1;
  metrics.Add(scores, at::tensor({7}, at::kLong));
  EXPECT_TRUE(metrics.Compute().confusion.empty());
  EXPECT_EQ(metrics.Compute().accuracy, 1);
}

}  // namespace
}  // namespace vit
