// What is told of an evaluation, and by which of its numbers one is better than another.
#ifndef VIT_CORE_TRAIN_EVALUATION_REPORT_H_
#define VIT_CORE_TRAIN_EVALUATION_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/train/classification_metrics.h"
#include "vit/v1/training.pb.h"

namespace vit {

// `class_names`: in label order.
vit::v1::Evaluation MakeEvaluation(int64_t step, const ClassificationMetrics& metrics,
                                   const std::vector<std::string>& class_names);

// The number that `best` names.
double BestValue(const vit::v1::Evaluation& evaluation, vit::v1::BestMetric best);
bool LowerIsBetter(vit::v1::BestMetric best);
// Whether the best values of both can be compared.
bool SameMeasure(const vit::v1::EvaluationConfig& a, const vit::v1::EvaluationConfig& b);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_EVALUATION_REPORT_H_
