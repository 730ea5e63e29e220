#include "core/train/evaluation/evaluation_report.h"

namespace vit {

vit::v1::Evaluation MakeEvaluation(int64_t step, const ClassificationMetrics& metrics,
                                   const std::vector<std::string>& class_names) {
  vit::v1::Evaluation evaluation;
  evaluation.set_step(step);
  evaluation.set_loss(metrics.loss);
  evaluation.set_accuracy(metrics.accuracy);
  vit::v1::EvaluationMetrics* means = evaluation.mutable_metrics();
  means->set_top_k_accuracy(metrics.top_k_accuracy);
  means->set_top_k(metrics.top_k);
  means->set_precision(metrics.precision);
  means->set_recall(metrics.recall);
  means->set_f1(metrics.f1);
  means->set_precision_weighted(metrics.precision_weighted);
  means->set_f1_weighted(metrics.f1_weighted);
  means->set_calibration_error(metrics.calibration_error);
  for (int label = 0; label < static_cast<int>(class_names.size()); ++label) {
    vit::v1::ClassMetrics* one = evaluation.add_classes();
    one->set_name(class_names[label]);
    one->set_samples(metrics.actual[label]);
    one->set_precision(Precision(metrics, label));
    one->set_recall(Recall(metrics, label));
    one->set_f1(F1(metrics, label));
  }
  evaluation.mutable_confusion()->Add(metrics.confusion.begin(), metrics.confusion.end());
  return evaluation;
}

double BestValue(const vit::v1::Evaluation& evaluation, vit::v1::BestMetric best) {
  switch (best) {
    case vit::v1::BEST_METRIC_LOSS:
      return evaluation.loss();
    case vit::v1::BEST_METRIC_TOP_K_ACCURACY:
      return evaluation.metrics().top_k_accuracy();
    case vit::v1::BEST_METRIC_RECALL:
      return evaluation.metrics().recall();
    case vit::v1::BEST_METRIC_F1:
      return evaluation.metrics().f1();
    case vit::v1::BEST_METRIC_CALIBRATION_ERROR:
      return evaluation.metrics().calibration_error();
    default:
      return evaluation.accuracy();
  }
}

bool SameMeasure(const vit::v1::EvaluationConfig& a, const vit::v1::EvaluationConfig& b) {
  return a.best() == b.best() &&
         (a.best() != vit::v1::BEST_METRIC_TOP_K_ACCURACY || a.top_k() == b.top_k());
}

bool LowerIsBetter(vit::v1::BestMetric best) {
  return best == vit::v1::BEST_METRIC_LOSS || best == vit::v1::BEST_METRIC_CALIBRATION_ERROR;
}

}  // namespace vit
