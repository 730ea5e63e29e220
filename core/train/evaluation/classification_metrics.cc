#include "core/train/evaluation/classification_metrics.h"

#include <torch/torch.h>

#include <algorithm>

namespace vit {
namespace {

std::vector<int64_t> ToHost(const at::Tensor& counts) {
  const at::Tensor host = counts.cpu();
  const int64_t* const data = host.const_data_ptr<int64_t>();
  return {data, data + host.numel()};
}

double Ratio(int64_t a, int64_t b) {
  return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b);
}

// Fills in the means over the classes.
void FillMeans(ClassificationMetrics* metrics) {
  int64_t present = 0, hits = 0;
  for (int i = 0; i < static_cast<int>(metrics->actual.size()); ++i) {
    if (metrics->actual[i] == 0) continue;
    ++present;
    hits += metrics->hits[i];
    const double precision = Precision(*metrics, i), f1 = F1(*metrics, i);
    const double share =
        static_cast<double>(metrics->actual[i]) / static_cast<double>(metrics->samples);
    metrics->precision += precision;
    metrics->recall += Recall(*metrics, i);
    metrics->f1 += f1;
    metrics->precision_weighted += precision * share;
    metrics->f1_weighted += f1 * share;
  }
  for (double* mean : {&metrics->precision, &metrics->recall, &metrics->f1}) {
    *mean /= static_cast<double>(present);
  }
  metrics->accuracy = static_cast<double>(hits) / static_cast<double>(metrics->samples);
}

}  // namespace

double Precision(const ClassificationMetrics& metrics, int label) {
  return Ratio(metrics.hits[label], metrics.predicted[label]);
}

double Recall(const ClassificationMetrics& metrics, int label) {
  return Ratio(metrics.hits[label], metrics.actual[label]);
}

double F1(const ClassificationMetrics& metrics, int label) {
  return Ratio(2 * metrics.hits[label], metrics.actual[label] + metrics.predicted[label]);
}

MetricAccumulator::MetricAccumulator(int num_classes, int top_k, c10::Device device)
    : num_classes_(num_classes), top_k_(std::min(top_k, num_classes)) {
  const auto options = at::TensorOptions().device(device);
  loss_sum_ = at::zeros({}, options.dtype(at::kDouble));
  top_k_hits_ = at::zeros({}, options.dtype(at::kLong));
  actual_ = at::zeros({num_classes}, options.dtype(at::kLong));
  predicted_ = at::zeros_like(actual_);
  hits_ = at::zeros_like(actual_);
  if (num_classes <= kMaxConfusionClasses) {
    confusion_ = at::zeros({int64_t{num_classes} * num_classes}, options.dtype(at::kLong));
  }
  bin_confidence_ = at::zeros({kCalibrationBins}, options.dtype(at::kDouble));
  bin_correct_ = at::zeros({kCalibrationBins}, options.dtype(at::kDouble));
}

void MetricAccumulator::Add(const at::Tensor& logits, const at::Tensor& labels) {
  samples_ += logits.size(0);
  const at::Tensor log_p = logits.log_softmax(1);
  loss_sum_ += at::nll_loss(log_p, labels, {}, at::Reduction::Sum);
  const auto [confidence, predicted] = log_p.max(1);
  const at::Tensor ones = at::ones_like(labels);
  const at::Tensor right = predicted.eq(labels);
  actual_.index_add_(0, labels, ones);
  predicted_.index_add_(0, predicted, ones);
  hits_.index_add_(0, labels, right.to(at::kLong));
  if (confusion_.defined()) confusion_.index_add_(0, labels * num_classes_ + predicted, ones);
  top_k_hits_ += std::get<1>(logits.topk(top_k_, 1)).eq(labels.unsqueeze(1)).sum();
  // If the loss is not finite, which the caller checks, neither is the confidence: it counts as 0.
  const at::Tensor p = confidence.exp().to(at::kDouble).nan_to_num(0);
  // Bin b holds (b / bins, (b + 1) / bins].
  const at::Tensor bins =
      (p * kCalibrationBins).ceil().sub(1).clamp(0, kCalibrationBins - 1).to(at::kLong);
  bin_confidence_.index_add_(0, bins, p);
  bin_correct_.index_add_(0, bins, right.to(at::kDouble));
}

ClassificationMetrics MetricAccumulator::Compute() const {
  ClassificationMetrics metrics;
  metrics.samples = samples_;
  metrics.top_k = top_k_;
  metrics.actual = ToHost(actual_);
  metrics.predicted = ToHost(predicted_);
  metrics.hits = ToHost(hits_);
  if (confusion_.defined()) metrics.confusion = ToHost(confusion_);
  if (samples_ == 0) return metrics;
  const auto total = static_cast<double>(samples_);
  metrics.loss = loss_sum_.item<double>() / total;
  metrics.top_k_accuracy = static_cast<double>(top_k_hits_.item<int64_t>()) / total;
  metrics.calibration_error = (bin_confidence_ - bin_correct_).abs().sum().item<double>() / total;
  FillMeans(&metrics);
  return metrics;
}

}  // namespace vit
