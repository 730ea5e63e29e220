#include "core/weights/load_weights.h"

#include <torch/torch.h>

#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"

namespace vit {
namespace {

// At most so many names in one message.
constexpr size_t kMaxNames = 5;

std::string Names(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kMaxNames);
  return absl::StrCat(
      absl::StrJoin(names.begin(), names.begin() + shown, ", "),
      names.size() > shown ? absl::StrCat(" and ", names.size() - shown, " more") : "");
}

std::string Shape(const at::Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.sizes(), ", "), "]");
}

// Checks all names and shapes, less those in `skip`.
absl::Status Check(const std::map<std::string, at::Tensor>& tensors,
                   const std::set<std::string>& skip, const torch::nn::Module& module) {
  std::vector<std::string> missing, unused, mismatched;
  const auto parameters = module.named_parameters();
  for (const auto& parameter : parameters) {
    const std::string& name = parameter.key();
    if (skip.contains(name)) continue;
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      missing.push_back(name);
    } else if (found->second.sizes() != parameter.value().sizes()) {
      mismatched.push_back(absl::StrCat(name, " (file ", Shape(found->second), ", model ",
                                        Shape(parameter.value()), ")"));
    } else if (!at::isFloatingType(found->second.scalar_type())) {
      mismatched.push_back(absl::StrCat(name, " (not floating point)"));
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (!parameters.contains(name)) unused.push_back(name);
  }
  std::vector<std::string> problems;
  if (!missing.empty()) problems.push_back(absl::StrCat("missing ", Names(missing)));
  if (!unused.empty()) problems.push_back(absl::StrCat("not in the model: ", Names(unused)));
  if (!mismatched.empty())
    problems.push_back(absl::StrCat("of another shape: ", Names(mismatched)));
  if (!problems.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("weights do not fit the model: ", absl::StrJoin(problems, "; ")));
  }
  return absl::OkStatus();
}

absl::Status CheckAndCopy(const std::map<std::string, at::Tensor>& tensors,
                          const std::set<std::string>& skip, torch::nn::Module& module) {
  VIT_RETURN_IF_ERROR(Check(tensors, skip, module));
  torch::NoGradGuard no_grad;
  for (const auto& parameter : module.named_parameters()) {
    if (!skip.contains(parameter.key())) {
      at::Tensor value = parameter.value();
      value.copy_(tensors.at(parameter.key()));
    }
  }
  return absl::OkStatus();
}

// What a run that starts from other weights leaves out of them, and a note that says so.
struct LeftOut {
  std::set<std::string> names;
  std::string note;
};
LeftOut LeaveOutOtherHead(const std::map<std::string, at::Tensor>& tensors,
                          const torch::nn::Module& module) {
  const auto parameters = module.named_parameters();
  const auto given = tensors.find("head.weight");
  const at::Tensor* own = parameters.find("head.weight");
  if (own == nullptr || (given != tensors.end() &&
                         (given->second.dim() != 2 || given->second.size(0) == own->size(0)))) {
    return {};
  }
  return {{"head.weight", "head.bias"},
          given == tensors.end()
              ? "the weights have no head; it starts anew"
              : absl::StrCat("the head starts anew: the weights have ", given->second.size(0),
                             " classes, the data ", own->size(0))};
}

}  // namespace

absl::Status LoadWeights(const std::map<std::string, at::Tensor>& tensors,
                         torch::nn::Module& module) {
  return CatchExceptions("load weights", [&] { return CheckAndCopy(tensors, {}, module); });
}

absl::StatusOr<std::string> LoadInitialWeights(const std::map<std::string, at::Tensor>& tensors,
                                               torch::nn::Module& module) {
  return CatchExceptions("load weights", [&]() -> absl::StatusOr<std::string> {
    LeftOut left_out = LeaveOutOtherHead(tensors, module);
    VIT_RETURN_IF_ERROR(CheckAndCopy(tensors, left_out.names, module));
    return std::move(left_out.note);
  });
}

absl::Status CheckInitialWeightsFit(const std::map<std::string, at::Tensor>& tensors,
                                    const torch::nn::Module& module) {
  return CatchExceptions("check weights", [&] {
    return Check(tensors, LeaveOutOtherHead(tensors, module).names, module);
  });
}

}  // namespace vit
