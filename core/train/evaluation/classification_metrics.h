// Measures how well a classifier does on a split.
#ifndef VIT_CORE_TRAIN_EVALUATION_CLASSIFICATION_METRICS_H_
#define VIT_CORE_TRAIN_EVALUATION_CLASSIFICATION_METRICS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace vit {

// Means over classes leave out classes without images; a ratio with denominator 0 is 0
// (scikit-learn's zero_division).
struct ClassificationMetrics {
  int64_t samples = 0;
  double loss = 0;      // mean cross entropy, unweighted and without label smoothing
  double accuracy = 0;  // 0..1, as are all ratios below
  double top_k_accuracy = 0;
  int top_k = 0;                                   // its k
  double precision = 0, recall = 0, f1 = 0;        // mean over the classes ("macro")
  double precision_weighted = 0, f1_weighted = 0;  // weighted by the classes' support
  // Expected calibration error: the mean distance between the highest probability and the accuracy,
  // in kCalibrationBins equal bins of the former (Guo et al., 2017,
  // https://arxiv.org/abs/1706.04599).
  double calibration_error = 0;
  // For each class: its support, the images predicted as it, and its true positives.
  std::vector<int64_t> actual, predicted, hits;  // [K]
  // Images of class i that were predicted as class j: [K * K], row i. Empty beyond
  // kMaxConfusionClasses.
  std::vector<int64_t> confusion;
};

inline constexpr int kMaxConfusionClasses = 1000;

// For one class; 0 if the denominator is 0.
double Precision(const ClassificationMetrics& metrics, int label);
double Recall(const ClassificationMetrics& metrics, int label);
double F1(const ClassificationMetrics& metrics, int label);

// Accumulates batches; only Compute waits for the device.
class MetricAccumulator {
 public:
  static constexpr int kCalibrationBins = 15;

  // `top_k` is capped at K.
  MetricAccumulator(int num_classes, int top_k, c10::Device device);

  // `logits`: [B, K], float32; `labels`: [B].
  void Add(const at::Tensor& logits, const at::Tensor& labels);

  // Returns the metrics of what was added; all 0 if nothing was.
  ClassificationMetrics Compute() const;

 private:
  const int num_classes_, top_k_;
  int64_t samples_ = 0;
  at::Tensor loss_sum_;                      // float64
  at::Tensor top_k_hits_;                    // int64
  at::Tensor actual_, predicted_, hits_;     // [K], int64
  at::Tensor confusion_;                     // [K * K], int64; undefined beyond the limit
  at::Tensor bin_confidence_, bin_correct_;  // [bins], float64: sums
};

}  // namespace vit

#endif  // VIT_CORE_TRAIN_EVALUATION_CLASSIFICATION_METRICS_H_
