#include "core/model/position_embedding.h"

#include <torch/torch.h>

#include <vector>

namespace vit {

at::Tensor SinCosPositionEmbedding(const PatchGrid& grid, int64_t dim) {
  constexpr double kTemperature = 10000;
  const auto options = at::TensorOptions().dtype(at::kDouble);
  const at::Tensor frequency =  // [dim / 4], from 1 down to 1 / temperature
      at::pow(kTemperature, -at::linspace(0, 1, dim / 4, options));
  const at::Tensor rows = at::arange(grid.rows, options).outer(frequency);
  const at::Tensor columns = at::arange(grid.columns, options).outer(frequency);
  const std::vector<int64_t> shape = {grid.rows, grid.columns, dim / 4};
  const at::Tensor x = columns.unsqueeze(0).expand(shape), y = rows.unsqueeze(1).expand(shape);
  return at::cat({x.sin(), x.cos(), y.sin(), y.cos()}, -1)
      .view({1, grid.rows * grid.columns, dim})
      .to(at::kFloat);
}

at::Tensor ResamplePositionEmbedding(const at::Tensor& embedding, int64_t prefix_tokens,
                                     const PatchGrid& from, const PatchGrid& to) {
  if (from == to) return embedding;
  const int64_t dim = embedding.size(2);
  const at::Tensor grid = embedding.slice(1, prefix_tokens)
                              .to(at::kFloat)
                              .reshape({1, from.rows, from.columns, dim})
                              .permute({0, 3, 1, 2});  // [1, D, rows, columns]
  const at::Tensor resampled =
      at::_upsample_bicubic2d_aa(grid, {to.rows, to.columns}, /*align_corners=*/false)
          .permute({0, 2, 3, 1})
          .reshape({1, to.rows * to.columns, dim})
          .to(embedding.scalar_type());
  return at::cat({embedding.slice(1, 0, prefix_tokens), resampled}, 1);
}

}  // namespace vit
