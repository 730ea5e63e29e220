#include "core/weights/layouts/google_layout.h"

#include <torch/torch.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/status.h"

namespace vit {
namespace {

// Prefixes that training states give the parameters.
constexpr const char* kPrefixes[] = {"opt/target/", "optimizer/target/", "target/", "params/"};

std::string WithoutPrefixes(absl::string_view name) {
  for (bool found = true; found;) {
    found = false;
    for (const char* prefix : kPrefixes) found |= absl::ConsumePrefix(&name, prefix);
  }
  return std::string(name);
}

absl::Status BadShape(const std::string& name, const at::Tensor& tensor, const char* expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("'", name, "' has ", tensor.dim(), " dimensions; expected ", expected));
}

// Renames a tensor of one block, `part` its name inside, to timm's name. Query, key and value
// become "attn.query.weight" and so on. The name is empty if timm has none.
absl::StatusOr<std::pair<std::string, at::Tensor>> BlockTensor(const std::string& part,
                                                               const at::Tensor& tensor,
                                                               int64_t* num_heads) {
  const std::vector<std::string> path = absl::StrSplit(part, '/');
  const bool kernel = path.back() == "kernel";
  const std::string kind = kernel || path.back() == "scale" ? "weight" : "bias";
  if (path.size() == 2 && absl::StartsWith(path[0], "LayerNorm_")) {
    return std::make_pair(absl::StrCat(path[0] == "LayerNorm_0" ? "norm1." : "norm2.", kind),
                          tensor);
  }
  if (path.size() != 3) return std::make_pair(std::string(), tensor);
  if (absl::StartsWith(path[0], "MlpBlock_")) {
    if (kernel && tensor.dim() != 2) return BadShape(part, tensor, "[in, out]");
    return std::make_pair(absl::StrCat("mlp.", path[1] == "Dense_0" ? "fc1." : "fc2.", kind),
                          kernel ? tensor.t() : tensor);
  }
  if (!absl::StartsWith(path[0], "MultiHeadDotProductAttention_")) {
    return std::make_pair(std::string(), tensor);
  }
  if (path[1] == "out") {
    if (!kernel) return std::make_pair(std::string("attn.proj.bias"), tensor);
    if (tensor.dim() != 3) return BadShape(part, tensor, "[heads, head width, out]");
    return std::make_pair(std::string("attn.proj.weight"), tensor.flatten(0, 1).t());
  }
  const std::string name = absl::StrCat("attn.", path[1], ".", kind);
  if (!kernel) return std::make_pair(name, tensor.flatten());
  if (tensor.dim() != 3) return BadShape(part, tensor, "[in, heads, head width]");
  *num_heads = tensor.size(1);
  return std::make_pair(name, tensor.flatten(1).t());
}

// Renames a tensor outside the blocks.
absl::StatusOr<std::pair<std::string, at::Tensor>> OuterTensor(const std::string& name,
                                                               const at::Tensor& tensor) {
  static const auto* const names = new std::map<std::string, std::string>{
      {"cls", "cls_token"},
      {"embedding/kernel", "patch_embed.proj.weight"},
      {"embedding/bias", "patch_embed.proj.bias"},
      {"Transformer/posembed_input/pos_embedding", "pos_embed"},
      {"pos_embedding", "pos_embed"},
      {"Transformer/encoder_norm/scale", "norm.weight"},
      {"Transformer/encoder_norm/bias", "norm.bias"},
      {"pre_logits/kernel", "pre_logits.fc.weight"},
      {"pre_logits/bias", "pre_logits.fc.bias"},
      {"head/kernel", "head.weight"},
      {"head/bias", "head.bias"},
  };
  const auto found = names->find(name);
  if (found == names->end()) return std::make_pair(name, tensor);
  if (name == "embedding/kernel") {
    if (tensor.dim() != 4) return BadShape(name, tensor, "[height, width, in, out]");
    return std::make_pair(found->second, tensor.permute({3, 2, 0, 1}));
  }
  if (!absl::EndsWith(name, "/kernel")) return std::make_pair(found->second, tensor);
  if (tensor.dim() != 2) return BadShape(name, tensor, "[in, out]");
  return std::make_pair(found->second, tensor.t());
}

// Splits "Transformer/encoderblock_3/rest" into 3 and "rest"; -1 for blocks that are stacked in one
// tensor. False for another name.
bool SplitBlockName(const std::string& name, int64_t* block, std::string* rest) {
  absl::string_view left = name;
  if (!absl::ConsumePrefix(&left, "Transformer/encoderblock")) return false;
  *block = -1;
  const size_t slash = left.find('/');
  if (slash == absl::string_view::npos) return false;
  absl::string_view number = left.substr(0, slash);
  if (!number.empty() &&
      (!absl::ConsumePrefix(&number, "_") || !absl::SimpleAtoi(number, block) || *block < 0)) {
    return false;
  }
  *rest = std::string(left.substr(slash + 1));
  return true;
}

}  // namespace

bool IsGoogleLayout(const TensorMap& tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [](const auto& item) {
    return absl::StrContains(item.first, "Transformer/encoderblock");
  });
}

absl::StatusOr<TimmWeights> FromGoogleLayout(const TensorMap& tensors) {
  TimmWeights weights{.layout = "Google's", .tensors = {}, .config = {}};
  int64_t num_heads = 0;
  const auto add_block = [&](int64_t block, const std::string& name, const std::string& rest,
                             const at::Tensor& tensor) -> absl::Status {
    VIT_ASSIGN_OR_RETURN(const auto item, BlockTensor(rest, tensor, &num_heads));
    weights.tensors[item.first.empty() ? name : absl::StrCat("blocks.", block, ".", item.first)] =
        item.second;
    return absl::OkStatus();
  };
  for (const auto& [full_name, tensor] : tensors) {
    const std::string name = WithoutPrefixes(full_name);
    if (absl::StartsWith(name, "MAPHead_")) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", full_name, "': models with an attention-pooled head are not supported"));
    }
    if (absl::StartsWith(name, "conv_root") || absl::StartsWith(name, "block1/")) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", full_name, "': hybrids of ResNet and ViT are not supported"));
    }
    int64_t block;
    std::string rest;
    if (!SplitBlockName(name, &block, &rest)) {
      VIT_ASSIGN_OR_RETURN(const auto item, OuterTensor(name, tensor));
      weights.tensors[item.first] = item.second;
    } else if (block >= 0) {
      VIT_RETURN_IF_ERROR(add_block(block, name, rest, tensor));
    } else if (tensor.dim() < 2) {
      return BadShape(full_name, tensor, "at least 2, the blocks first");
    } else {
      for (int64_t i = 0; i < tensor.size(0); ++i) {
        VIT_RETURN_IF_ERROR(add_block(i, absl::StrCat(name, "[", i, "]"), rest, tensor[i]));
      }
    }
  }
  if (num_heads > 0) weights.config.set_num_heads(static_cast<int>(num_heads));
  return weights;
}

}  // namespace vit
