#include "core/weights/head_labels.h"

#include <torch/torch.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/compute/named_tensors.h"

namespace vit {
namespace {

constexpr const char* kHeads[] = {"head.weight", "head.bias", "head_dist.weight", "head_dist.bias"};
constexpr size_t kShown = 3;

std::string Some(const std::vector<std::string>& labels) {
  const size_t shown = std::min(labels.size(), kShown);
  return absl::StrCat(absl::StrJoin(labels.begin(), labels.begin() + shown, ", "),
                      labels.size() > shown ? ", ..." : "");
}

}  // namespace

bool AreNames(const std::vector<std::string>& labels) {
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] != absl::StrCat(i) && labels[i] != absl::StrCat("LABEL_", i)) return true;
  }
  return false;
}

void MatchHead(const HeadLabels& labels, TensorMap* tensors, std::vector<std::string>* notes) {
  const auto head = tensors->find("head.weight");
  const auto count = static_cast<int64_t>(labels.model.size());
  if (head == tensors->end() || head->second.dim() < 1 || head->second.size(0) != count ||
      labels.weights.size() != labels.model.size() || labels.weights == labels.model) {
    return;
  }
  std::map<std::string, int64_t> rows;
  for (const std::string& label : labels.weights) {
    rows.emplace(label, static_cast<int64_t>(rows.size()));
  }
  std::vector<int64_t> order;
  for (const std::string& label : labels.model) {
    if (const auto row = rows.find(label); row != rows.end()) order.push_back(row->second);
  }
  // Labels that occur twice cannot be told apart.
  const bool same =
      static_cast<int64_t>(rows.size()) == count && static_cast<int64_t>(order.size()) == count;
  for (const char* name : kHeads) {
    const auto found = tensors->find(name);
    if (found == tensors->end()) continue;
    if (!same) {
      tensors->erase(found);
    } else if (found->second.dim() > 0 && found->second.size(0) == count) {
      found->second = found->second.index_select(0, at::tensor(order, at::kLong));
    }
  }
  notes->push_back(same ? "the head's rows are put into the data's order of classes"
                        : absl::StrCat("the head is new: the weights' classes are ",
                                       Some(labels.weights), ", the data's are ",
                                       Some(labels.model)));
}

}  // namespace vit
