// Matches a head's rows to the classes that they are for.
#ifndef VIT_CORE_WEIGHTS_HEAD_LABELS_H_
#define VIT_CORE_WEIGHTS_HEAD_LABELS_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "core/base/compute/named_tensors.h"

namespace vit {

struct HeadLabels {
  std::vector<std::string> weights;  // of the head's rows; empty if unknown
  std::vector<std::string> model;    // of the rows of the model that takes them
};

// Whether these are names, and not the numbers or "LABEL_0" that programs write without names.
bool AreNames(const std::vector<std::string>& labels);

// Puts the rows of the heads among `tensors` (timm's names) into the order of `labels.model` if
// both sides have the same labels; otherwise removes the heads, so that they are new. Reports it in
// `notes`. Does nothing if labels are unknown or heads have another number of rows.
void MatchHead(const HeadLabels& labels, TensorMap* tensors, std::vector<std::string>* notes);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_HEAD_LABELS_H_
