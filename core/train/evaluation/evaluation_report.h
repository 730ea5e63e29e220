// The report of an evaluation, and how two evaluations are compared.
#ifndef VIT_CORE_TRAIN_EVALUATION_EVALUATION_REPORT_H_
#define VIT_CORE_TRAIN_EVALUATION_EVALUATION_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/train/evaluation/classification_metrics.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Makes the report of `metrics`. `class_names`: in label order.
vit::v1::Evaluation MakeEvaluation(int64_t step, const ClassificationMetrics& metrics,
                                   const std::vector<std::string>& class_names);

// Returns the value that `best` names.
double BestValue(const vit::v1::Evaluation& evaluation, vit::v1::BestMetric best);
bool LowerIsBetter(vit::v1::BestMetric best);
// Whether the best values of both can be compared.
bool SameMeasure(const vit::v1::EvaluationConfig& a, const vit::v1::EvaluationConfig& b);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_EVALUATION_EVALUATION_REPORT_H_
