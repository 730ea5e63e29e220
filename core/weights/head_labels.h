// A head's rows and the classes that they are for. Only for the rooms that compute.
#ifndef VIT_CORE_WEIGHTS_HEAD_LABELS_H_
#define VIT_CORE_WEIGHTS_HEAD_LABELS_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace vit {

struct HeadLabels {
  std::vector<std::string> weights;  // of the head's rows; empty where they are not known
  std::vector<std::string> model;    // of the rows of the model that takes them
};

// Whether these are names, and not the numbers or "LABEL_0" that programs write for want of any.
bool AreNames(const std::vector<std::string>& labels);

// Puts the rows of the heads among `tensors` (timm's names) into the order of `labels.model`, where
// both sides have the same labels. Where they do not, takes the heads out, so that they start anew.
// Says so in `notes`. Nothing where labels are not known or heads have another number of rows.
void MatchHead(const HeadLabels& labels, std::map<std::string, at::Tensor>* tensors,
               std::vector<std::string>* notes);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_HEAD_LABELS_H_
