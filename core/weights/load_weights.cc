#include "core/weights/load_weights.h"

#include <torch/torch.h>

#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/status.h"
#include "core/tensor_file/some_names.h"
#include "core/weights/fit_weights.h"

namespace vit {
namespace {

std::string Shape(const at::Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.sizes(), ", "), "]");
}

// How a file's tensors and a model's differ.
struct Differences {
  std::vector<std::string> missing;     // in the file
  std::vector<std::string> unused;      // in the model
  std::vector<std::string> mismatched;  // with both shapes
};

Differences Compare(const TensorMap& tensors, const torch::nn::Module& module) {
  Differences differences;
  TensorMap unused = tensors;
  for (const auto& [name, own] : StateDict(module)) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      differences.missing.push_back(name);
      continue;
    }
    unused.erase(name);
    const at::Tensor& given = found->second;
    if (given.sizes() != own.sizes()) {
      differences.mismatched.push_back(
          absl::StrCat(name, " (file ", Shape(given), ", model ", Shape(own), ")"));
    } else if (at::isFloatingType(own.scalar_type()) && !at::isFloatingType(given.scalar_type())) {
      differences.mismatched.push_back(absl::StrCat(name, " (not floating point)"));
    }
  }
  for (const auto& [name, tensor] : unused) differences.unused.push_back(name);
  return differences;
}

// INVALID_ARGUMENT that names all of them.
absl::Status ToStatus(const Differences& differences) {
  std::vector<std::string> problems;
  if (!differences.missing.empty()) {
    problems.push_back(absl::StrCat("missing ", SomeNames(differences.missing)));
  }
  if (!differences.unused.empty()) {
    problems.push_back(absl::StrCat("not in the model: ", SomeNames(differences.unused)));
  }
  if (!differences.mismatched.empty()) {
    problems.push_back(absl::StrCat("of another shape: ", SomeNames(differences.mismatched)));
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("weights do not fit the model: ", absl::StrJoin(problems, "; ")));
}

void Copy(const TensorMap& tensors, const torch::nn::Module& module) {
  torch::NoGradGuard no_grad;
  for (auto& [name, own] : StateDict(module)) {
    const auto found = tensors.find(name);
    if (found != tensors.end()) own.copy_(found->second);
  }
}

bool IsHead(const std::string& name) {
  return absl::StartsWith(name, "head.") || absl::StartsWith(name, "head_dist.");
}

// Whether training can start with this tensor as initialised.
bool MayStartAnew(const std::string& name) {
  for (const char* prefix : {"pre_logits.", "norm.", "fc_norm."}) {
    if (absl::StartsWith(name, prefix)) return true;
  }
  for (const char* part : {".gamma", "_token", "pos_embed", ".q_norm.weight", ".q_norm.bias",
                           ".k_norm.weight", ".k_norm.bias"}) {
    if (absl::EndsWith(name, part)) return true;
  }
  return IsHead(name);
}

// Blocks compute something else if a part is missing; the message says which field adds it.
absl::Status CheckUnusedInBlocks(const std::vector<std::string>& unused) {
  constexpr std::pair<absl::string_view, absl::string_view> kFields[] = {
      {".gamma", "model.init_values=1e-5"},          {".attn.qkv.bias", "model.qkv_bias=true"},
      {".attn.proj.weight", "model.attn_proj=true"}, {".attn.proj.bias", "model.proj_bias=true"},
      {".attn.q_norm.", "model.qk_norm=true"},       {".attn.k_norm.", "model.qk_norm=true"},
      {".running_", "model.norm_layer=batch_norm"},
  };
  std::vector<std::string> names;
  absl::string_view field = "model.depth to that of the weights";
  for (const std::string& name : unused) {
    if (!absl::StartsWith(name, "blocks.") || absl::EndsWith(name, ".num_batches_tracked")) {
      continue;
    }
    for (const auto& [part, adds] : kFields) {
      if (names.empty() && absl::StrContains(name, part)) field = adds;
    }
    names.push_back(name);
  }
  if (names.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the weights' blocks have what the model's do not have: ", SomeNames(names),
                   "; set ", field));
}

// What LoadInitialWeights copies, and its notes.
struct Fitted {
  TensorMap tensors;
  std::vector<std::string> notes;
};
absl::StatusOr<Fitted> Fit(const TensorMap& tensors, const VisionTransformerImpl& model,
                           const HeadLabels& labels) {
  Fitted fitted{.tensors = tensors, .notes = {}};
  VIT_RETURN_IF_ERROR(FitWeights(model.config(), &fitted.tensors, &fitted.notes));
  MatchHead(labels, &fitted.tensors, &fitted.notes);
  Differences differences = Compare(fitted.tensors, model);
  std::vector<std::string> anew;
  const bool fixed_positions = model.config().pos_embed() != vit::v1::POSITION_EMBEDDING_LEARNED;
  std::erase_if(differences.missing, [&](const std::string& name) {
    if (!MayStartAnew(name)) return false;
    // A note on the head already says so, and fixed positions are set.
    const bool said = IsHead(name) && !fitted.tensors.contains("head.weight");
    if (!said && !(name == "pos_embed" && fixed_positions)) anew.push_back(name);
    return true;
  });
  if (!anew.empty()) {
    fitted.notes.push_back(absl::StrCat("not in the weights, so new: ", SomeNames(anew)));
  }
  VIT_RETURN_IF_ERROR(CheckUnusedInBlocks(differences.unused));
  if (!differences.unused.empty()) {
    fitted.notes.push_back(absl::StrCat("not used: ", SomeNames(differences.unused)));
  }
  for (const std::string& name : differences.unused) fitted.tensors.erase(name);
  differences.unused.clear();
  VIT_RETURN_IF_ERROR(ToStatus(differences));
  VIT_RETURN_IF_ERROR(CheckFinite(fitted.tensors));
  return fitted;
}

}  // namespace

absl::Status LoadWeights(const TensorMap& tensors, torch::nn::Module& module) {
  return CatchExceptions("load weights", [&]() -> absl::Status {
    VIT_RETURN_IF_ERROR(ToStatus(Compare(tensors, module)));
    Copy(tensors, module);
    return absl::OkStatus();
  });
}

absl::Status CheckWeightsFit(const TensorMap& tensors, const torch::nn::Module& module) {
  return CatchExceptions("check weights", [&] { return ToStatus(Compare(tensors, module)); });
}

absl::Status CheckFinite(const TensorMap& tensors) {
  return CatchExceptions("check weights", [&]() -> absl::Status {
    for (const auto& [name, tensor] : tensors) {
      if (!at::isFloatingType(tensor.scalar_type())) continue;
      // The sum shows it at once, unless finite values overflow it.
      if (std::isfinite(tensor.sum(at::kDouble).item<double>())) continue;
      const int64_t bad = tensor.numel() - tensor.isfinite().sum().item<int64_t>();
      if (bad == 0) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("'", name, "' has NaN or infinite values (", bad, " of ", tensor.numel(),
                       "): the training that wrote it went wrong; take an earlier checkpoint"));
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<std::string> LoadInitialWeights(const TensorMap& tensors,
                                               VisionTransformerImpl& model,
                                               const HeadLabels& labels) {
  return CatchExceptions("load weights", [&]() -> absl::StatusOr<std::string> {
    VIT_ASSIGN_OR_RETURN(const Fitted fitted, Fit(tensors, model, labels));
    Copy(fitted.tensors, model);
    return absl::StrJoin(fitted.notes, "; ");
  });
}

absl::Status CheckInitialWeightsFit(const TensorMap& tensors, const VisionTransformerImpl& model) {
  return CatchExceptions("check weights", [&] { return Fit(tensors, model, {}).status(); });
}

}  // namespace vit
