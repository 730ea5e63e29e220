#include "core/weights/fit_weights.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/status.h"
#include "core/model/model_config.h"
#include "core/model/position_embedding.h"
#include "core/weights/layouts/weight_layout.h"

namespace vit {
namespace {

using ::vit::v1::ModelConfig;

// The prefix tokens, in order.
constexpr const char* kPrefixTokens[] = {"cls_token", "dist_token", "reg_token"};

PatchGrid OwnGrid(const ModelConfig& config) {
  return {.rows = config.image_size() / config.patch_size(),
          .columns = config.image_size() / config.patch_width()};
}

// Returns `own` if it has `count` patches, else a square grid of as many, if there is one.
std::optional<PatchGrid> GridOf(int64_t count, const PatchGrid& own) {
  if (count == own.rows * own.columns) return own;
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(count))));
  if (count < 1 || side * side != count) return std::nullopt;
  return PatchGrid{side, side};
}

// Adds the positions of the prefix tokens to the tokens themselves, which is equivalent.
void FoldPositionsIntoTokens(const at::Tensor& positions, TensorMap* tensors) {
  int64_t next = 0;
  for (const char* name : kPrefixTokens) {
    const auto token = tensors->find(name);
    if (token == tensors->end()) continue;
    const int64_t end = next + token->second.size(1);
    if (end > positions.size(1)) return;
    token->second = token->second + positions.slice(1, next, end);
    next = end;
  }
}

absl::Status FitPositions(const ModelConfig& config, TensorMap* tensors,
                          std::vector<std::string>* notes) {
  const auto found = tensors->find("pos_embed");
  if (found == tensors->end()) return absl::OkStatus();
  if (config.pos_embed() != vit::v1::POSITION_EMBEDDING_LEARNED) {
    tensors->erase(found);
    notes->push_back("pos_embed is not used, as the model's positions are not learned");
    return absl::OkStatus();
  }
  const at::Tensor& source = found->second;
  if (source.dim() != 3 || source.size(0) != 1 || source.size(2) != config.embed_dim() ||
      source.size(1) == PositionCount(config)) {
    return absl::OkStatus();  // fits, or is reported as a mismatch with both shapes
  }
  int64_t tokens = 0;
  for (const char* name : kPrefixTokens) {
    const auto token = tensors->find(name);
    if (token != tensors->end() && token->second.dim() == 3) tokens += token->second.size(1);
  }
  const PatchGrid own = OwnGrid(config);
  int64_t prefix = tokens;
  std::optional<PatchGrid> grid = GridOf(source.size(1) - prefix, own);
  if (!grid) {
    prefix = 0;  // a model whose prefix tokens have no positions
    grid = GridOf(source.size(1), own);
  }
  if (!grid) {
    return absl::InvalidArgumentError(absl::StrCat(
        "pos_embed [", absl::StrJoin(source.sizes(), ", "), "] holds no square grid after ", tokens,
        " prefix tokens, so it cannot be resampled to ", own.rows, " x ", own.columns));
  }
  const int64_t wanted = PositionCount(config) - PatchCount(config);
  at::Tensor front = source.slice(1, 0, prefix);  // [1, prefix, D]
  if (wanted == 0 && config.no_embed_class()) FoldPositionsIntoTokens(front, tensors);
  front = front.slice(1, 0, std::min(prefix, wanted));
  if (front.size(1) < wanted) {
    front = at::cat(
        {front, at::zeros({1, wanted - front.size(1), source.size(2)}, front.options())}, 1);
  }
  const at::Tensor patches =
      ResamplePositionEmbedding(source.slice(1, prefix), /*prefix_tokens=*/0, *grid, own);
  tensors->insert_or_assign("pos_embed", at::cat({front, patches}, 1));
  if (!(*grid == own)) {
    notes->push_back(absl::StrCat("positions resampled from ", grid->rows, " x ", grid->columns,
                                  " to ", own.rows, " x ", own.columns));
  }
  return absl::OkStatus();
}

void FitPatches(const ModelConfig& config, TensorMap* tensors, std::vector<std::string>* notes) {
  const auto found = tensors->find("patch_embed.proj.weight");
  if (found == tensors->end()) return;
  const at::Tensor& kernel = found->second;
  if (kernel.dim() != 4 || kernel.size(0) != config.embed_dim() ||
      kernel.size(1) != config.in_channels() || kernel.size(2) < 1 || kernel.size(3) < 1 ||
      (kernel.size(2) == config.patch_size() && kernel.size(3) == config.patch_width())) {
    return;
  }
  notes->push_back(absl::StrCat("patch projection resampled from ", kernel.size(2), " x ",
                                kernel.size(3), " to ", config.patch_size(), " x ",
                                config.patch_width()));
  found->second = ResamplePatchProjection(kernel, config.patch_size(), config.patch_width());
}

void FitHead(const ModelConfig& config, TensorMap* tensors, std::vector<std::string>* notes) {
  const auto head = tensors->find("head.weight");
  if (head == tensors->end()) {
    const std::string other = FindOtherHead(*tensors);
    notes->push_back(other.empty() ? "the head is new: the weights have none"
                                   : absl::StrCat("the head is new: that of the weights, '", other,
                                                  "', is not one linear layer called 'head'"));
    return;
  }
  if (head->second.dim() != 2 || head->second.size(0) == config.num_classes()) return;
  notes->push_back(absl::StrCat("the head is new: the weights have ", head->second.size(0),
                                " classes, the data has ", config.num_classes()));
  for (const char* name : {"head.weight", "head.bias", "head_dist.weight", "head_dist.bias"}) {
    tensors->erase(name);
  }
}

}  // namespace

at::Tensor ResamplePatchProjection(const at::Tensor& kernel, int64_t height, int64_t width) {
  const int64_t from = kernel.size(2) * kernel.size(3), to = height * width;
  const at::Tensor basis =
      at::eye(from, at::kDouble).view({from, 1, kernel.size(2), kernel.size(3)});
  const at::Tensor resized =  // row i: the resized patch that is 1 at value i, [from, to]
      at::_upsample_bicubic2d_aa(basis, {height, width}, /*align_corners=*/false).view({from, to});
  const at::Tensor inverse = at::linalg_pinv(resized);  // [to, from]
  return at::matmul(kernel.flatten(2).to(at::kDouble), inverse.t())
      .view({kernel.size(0), kernel.size(1), height, width})
      .to(kernel.scalar_type());
}

void KeepDistillationToken(TensorMap* tensors) {
  if (tensors->contains("reg_token") || tensors->contains("head_dist.weight")) return;
  auto token = tensors->extract("dist_token");
  if (token.empty()) return;
  token.key() = "reg_token";
  tensors->insert(std::move(token));
}

absl::Status FitWeights(const ModelConfig& config, TensorMap* tensors,
                        std::vector<std::string>* notes) {
  if (!config.distillation_token() && config.reg_tokens() == 1) KeepDistillationToken(tensors);
  VIT_RETURN_IF_ERROR(FitPositions(config, tensors, notes));
  FitPatches(config, tensors, notes);
  FitHead(config, tensors, notes);
  return absl::OkStatus();
}

}  // namespace vit
