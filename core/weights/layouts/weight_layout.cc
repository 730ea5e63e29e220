#include "core/weights/layouts/weight_layout.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/status.h"
#include "core/weights/layouts/foreign_parts.h"
#include "core/weights/layouts/google_layout.h"
#include "core/weights/layouts/layout_names.h"

namespace vit {
namespace {

absl::StatusOr<TensorMap> Rename(const TensorMap& tensors, const Renames& renames) {
  TensorMap renamed;
  for (const auto& [name, tensor] : tensors) {
    const std::string own = Renamed(name, renames);
    if (!renamed.emplace(own, tensor).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("two tensors stand for ", own, ", one of them '", name, "'"));
    }
  }
  return renamed;
}

// Joins "<block>.attn.query.weight", key and value into "<block>.attn.qkv.weight"; biases too.
absl::Status JoinQkv(TensorMap* tensors) {
  constexpr std::array<const char*, 3> kParts = {".attn.query.", ".attn.key.", ".attn.value."};
  std::vector<std::string> queries;
  for (const auto& [name, tensor] : *tensors) {
    if (absl::StrContains(name, kParts[0])) queries.push_back(name);
  }
  for (const std::string& query : queries) {
    std::vector<at::Tensor> parts;
    for (const char* part : kParts) {
      const std::string name = absl::StrReplaceAll(query, {{kParts[0], part}});
      const auto found = tensors->find(name);
      if (found == tensors->end() || found->second.sizes() != tensors->at(query).sizes()) {
        return absl::InvalidArgumentError(
            absl::StrCat("'", name, "' is missing or not shaped like '", query, "'"));
      }
      parts.push_back(found->second);
    }
    tensors->emplace(absl::StrReplaceAll(query, {{kParts[0], ".attn.qkv."}}), at::cat(parts, 0));
    for (const char* part : kParts) tensors->erase(absl::StrReplaceAll(query, {{kParts[0], part}}));
  }
  return absl::OkStatus();
}

TensorMap WithoutPrefix(const TensorMap& tensors, std::initializer_list<const char*> prefixes) {
  TensorMap stripped;
  for (const auto& [name, tensor] : tensors) {
    absl::string_view rest = name;
    for (const char* prefix : prefixes) {
      if (absl::ConsumePrefix(&rest, prefix)) break;
    }
    stripped.emplace(std::string(rest), tensor);
  }
  return stripped;
}

// Renames a linear head above a timm model to timm's name.
void RenameHead(TensorMap* tensors) {
  if (tensors->contains("head.weight")) return;
  for (const std::string module : {"classifier", "linear_head"}) {
    const auto weight = tensors->find(module + ".weight");
    if (weight == tensors->end() || weight->second.dim() != 2) continue;
    for (const std::string part : {".weight", ".bias"}) {
      if (auto moved = tensors->extract(module + part); !moved.empty()) {
        moved.key() = "head" + part;
        tensors->insert(std::move(moved));
      }
    }
    return;
  }
}

// "blocks.1.7.norm1.weight", block 7 in chunk 1 of DINOv2's training checkpoints, is block 7.
TensorMap WithoutChunks(const TensorMap& tensors) {
  TensorMap whole;
  for (const auto& [name, tensor] : tensors) {
    std::vector<std::string> parts = absl::StrSplit(name, '.');
    int64_t chunk = 0, block = 0;
    if (parts.size() > 3 && parts[0] == "blocks" && absl::SimpleAtoi(parts[1], &chunk) &&
        absl::SimpleAtoi(parts[2], &block)) {
      parts.erase(parts.begin() + 1);
    }
    whole.emplace(absl::StrJoin(parts, "."), tensor);
  }
  return whole;
}

absl::StatusOr<TimmWeights> FromTimm(const TensorMap& tensors) {
  TimmWeights weights{.layout = "timm", .tensors = {}, .config = {}};
  VIT_ASSIGN_OR_RETURN(weights.tensors, Rename(WithoutChunks(tensors), TimmRenames()));
  RenameHead(&weights.tensors);
  return weights;
}

absl::StatusOr<TimmWeights> FromHuggingFace(const TensorMap& tensors) {
  TimmWeights weights{.layout = "Hugging Face", .tensors = {}, .config = {}};
  VIT_ASSIGN_OR_RETURN(
      weights.tensors,
      Rename(WithoutPrefix(tensors, {"vit.", "deit.", "dinov2.", "dinov2_with_registers."}),
             HuggingFaceMemoryRenames()));
  VIT_ASSIGN_OR_RETURN(weights.tensors, Rename(weights.tensors, HuggingFaceRenames()));
  VIT_ASSIGN_OR_RETURN(weights.tensors, Rename(weights.tensors, DeitHeadRenames()));
  // What transformers' configurations set by default; config.json may override it.
  weights.config.set_layer_norm_eps(weights.tensors.contains("blocks.0.ls1.gamma") ? 1e-6 : 1e-12);
  return weights;
}

absl::StatusOr<TimmWeights> FromTorchvision(const TensorMap& tensors) {
  TimmWeights weights{.layout = "torchvision", .tensors = {}, .config = {}};
  VIT_ASSIGN_OR_RETURN(weights.tensors, Rename(tensors, TorchvisionRenames()));
  VIT_ASSIGN_OR_RETURN(weights.tensors, Rename(weights.tensors, OldTorchvisionRenames()));
  weights.config.set_activation(vit::v1::ACTIVATION_GELU);
  return weights;
}

absl::StatusOr<TimmWeights> FromSharedNorm(const TensorMap& tensors) {
  TimmWeights weights{.layout = "shared-norm", .tensors = {}, .config = {}};
  VIT_ASSIGN_OR_RETURN(weights.tensors, Rename(tensors, SharedNormRenames()));
  at::Tensor& projection = weights.tensors["patch_embed.proj.weight"];  // [D, 3 P P]
  const int64_t values = projection.defined() && projection.dim() == 2 ? projection.size(1) : 0;
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(values) / 3)));
  if (values == 0 || 3 * side * side != values) {
    return absl::InvalidArgumentError("patch_proj.weight is not a matrix over square RGB patches");
  }
  projection = projection.reshape({projection.size(0), 3, side, side});
  weights.config.set_activation(vit::v1::ACTIVATION_GELU);
  weights.config.set_shared_norm(true);
  weights.config.set_patch_norm(true);
  weights.config.set_proj_bias(false);
  weights.config.set_final_norm(false);
  weights.config.set_layer_norm_eps(1e-5);
  return weights;
}

absl::StatusOr<TimmWeights> FromBatchNorm(const TensorMap& tensors) {
  TimmWeights weights{.layout = "batch-norm", .tensors = {}, .config = {}};
  VIT_ASSIGN_OR_RETURN(weights.tensors, Rename(tensors, BatchNormRenames()));
  for (auto& [name, tensor] : weights.tensors) {
    // 1 x 1 convolutions.
    if (absl::StartsWith(name, "blocks.") && tensor.dim() == 4) tensor = tensor.flatten(1);
  }
  weights.config.set_activation(vit::v1::ACTIVATION_GELU);
  weights.config.set_norm_layer(vit::v1::NORM_LAYER_BATCH_NORM);
  weights.config.set_attn_proj(false);
  weights.config.set_final_norm(false);
  weights.config.set_scale_by_embed_dim(true);
  weights.config.set_global_pool(vit::v1::GLOBAL_POOL_FLATTEN);
  weights.config.set_pos_embed(vit::v1::POSITION_EMBEDDING_NONE);
  weights.config.set_representation_activation(vit::v1::REPRESENTATION_ACTIVATION_GELU);
  return weights;
}

bool IsSquare(int64_t count) {
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(count))));
  return count > 0 && side * side == count;
}

// If the class token and the patches have positions but the registers do not, adds the class
// token's position to the token, which is equivalent.
void FoldClassPosition(TensorMap* tensors) {
  const auto registers = tensors->find("reg_token"), token = tensors->find("cls_token"),
             positions = tensors->find("pos_embed");
  if (registers == tensors->end() || token == tensors->end() || positions == tensors->end()) return;
  if (registers->second.dim() != 3 || token->second.dim() != 3 || positions->second.dim() != 3 ||
      token->second.size(1) != 1 || token->second.size(2) != positions->second.size(2)) {
    return;
  }
  const int64_t count = positions->second.size(1);
  if (!IsSquare(count - 1) || IsSquare(count) || IsSquare(count - 1 - registers->second.size(1))) {
    return;
  }
  token->second = token->second + positions->second.slice(1, 0, 1);
  positions->second = positions->second.slice(1, 1);
}

bool AnyNameContains(const TensorMap& tensors, absl::string_view part) {
  return std::any_of(tensors.begin(), tensors.end(),
                     [&](const auto& item) { return absl::StrContains(item.first, part); });
}

absl::StatusOr<TimmWeights> Recognise(const TensorMap& tensors) {
  if (IsGoogleLayout(tensors)) return FromGoogleLayout(tensors);
  if (tensors.contains("patchify.weight")) return FromBatchNorm(tensors);
  if (tensors.contains("patch_proj.weight")) return FromSharedNorm(tensors);
  if (tensors.contains("conv_proj.weight")) return FromTorchvision(tensors);
  if (AnyNameContains(tensors, "embeddings.patch_embeddings.projection.")) {
    return FromHuggingFace(tensors);
  }
  if (tensors.contains("patch_embed.proj.weight")) return FromTimm(tensors);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) {
    if (names.size() < 3) names.push_back(name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("not a known Vision Transformer: ", tensors.size(), " tensors",
                   names.empty() ? "" : absl::StrCat(", such as ", absl::StrJoin(names, ", ")),
                   "; the names of timm, Hugging Face, torchvision and Google are supported"));
}

// A projection of self-supervised training, such as DINO's, is not a classifier.
bool IsProjection(const std::string& name) {
  return absl::StartsWith(name, "head.mlp.") || absl::StartsWith(name, "head.last_layer.");
}

}  // namespace

std::string FindOtherHead(const TensorMap& tensors) {
  if (tensors.contains("head.weight")) return "";
  std::string found;
  for (const auto& [name, tensor] : tensors) {
    if (!IsHeadName(name) || IsProjection(name)) continue;
    if (found.empty() || (absl::EndsWith(name, ".weight") && !absl::EndsWith(found, ".weight"))) {
      found = name;
    }
  }
  return found;
}

absl::StatusOr<TimmWeights> ToTimmLayout(const TensorMap& tensors) {
  VIT_ASSIGN_OR_RETURN(TimmWeights weights, Recognise(tensors));
  VIT_RETURN_IF_ERROR(CheckBlocks(weights.tensors));
  VIT_RETURN_IF_ERROR(JoinQkv(&weights.tensors));
  FoldClassPosition(&weights.tensors);
  return weights;
}

}  // namespace vit
