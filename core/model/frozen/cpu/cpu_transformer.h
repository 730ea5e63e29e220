// FrozenTransformer on the CPU.
#ifndef VIT_CORE_MODEL_FROZEN_CPU_CPU_TRANSFORMER_H_
#define VIT_CORE_MODEL_FROZEN_CPU_CPU_TRANSFORMER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/base/mutex.h"
#include "core/model/frozen/cpu/cpu_attention.h"
#include "core/model/frozen/cpu/cpu_head.h"
#include "core/model/frozen/cpu/cpu_norm.h"
#include "core/model/frozen/cpu/cpu_patches.h"
#include "core/model/frozen/cpu/kernels.h"
#include "core/model/frozen/cpu/packed_linear.h"
#include "core/model/frozen/frozen_transformer.h"

namespace vit::frozen {

// T: float or at::BFloat16, the type that products read.
//
// Between attention and the next attention no row (a token of an image) depends on another. So a
// thread takes rows and carries them from attention to the next block's queries, keys and values,
// while they are in its cache. A thread that has whole images needs no other. Images that are left
// over are shared by rows, and the threads wait for each other once in a block.
template <typename T>
class CpuTransformer : public FrozenTransformer {
 public:
  CpuTransformer(const VisionTransformerImpl& model, const vit::v1::DataConfig& preprocessing,
                 int64_t image_size);
  ~CpuTransformer() override;

  void Compute(absl::Span<const Image> images, Output output, ComputeTeam* team,
               float* out) const override;
  int64_t OutputSize(Output output) const override;

 private:
  struct Block;
  struct Activations;
  struct Scratch;
  struct Workspace;
  // Rows of a group, or images of it.
  struct Range {
    int64_t first, last;
    int64_t size() const { return last - first; }
  };
  // Images that are computed together.
  struct Group {
    absl::Span<const Image> images;
    Output output;
    Activations* activations;
    float* out;
  };

  void AddBlocks(const FoldedWeights& weights);
  Activations MakeActivations(int64_t images, int turns) const;
  Scratch MakeScratch() const;
  std::unique_ptr<Workspace> TakeWorkspace(int threads) const;
  void ReturnWorkspace(std::unique_ptr<Workspace> workspace) const;

  // Computes these rows of a group, and the output for these images of it. `await` returns when
  // the group's other rows have come as far.
  template <typename Await>
  void ComputePart(const Group& group, const Range& rows, const Range& images, Scratch* scratch,
                   const Await& await) const;
  // Computes keys and values of block `index`, and its queries if they are needed of all rows.
  void Project(const Group& group, size_t index, const Range& rows, Scratch* scratch) const;
  // Writes the queries of the rows in scratch->normalized.
  void ProjectQueries(const Block& block, int64_t rows, T* out, int64_t out_stride,
                      Scratch* scratch) const;
  void Attend(const Group& group, size_t index, const Range& rows, Scratch* scratch) const;
  // Applies what follows attention in a block to rows of the residual stream, x.
  void Feed(const Block& block, const T* attended, int64_t rows, float* x, Scratch* scratch) const;
  // Computes the last block for the first tokens of each image alone, to scratch->last_x.
  void ComputeLastBlock(const Group& group, const Range& images, int64_t tokens,
                        Scratch* scratch) const;
  // The blocks' norm of x + offset, as products read it.
  void Normalize(const float* x, const at::Tensor& offset, int64_t rows, T* out) const;
  void NormalizeHeads(const CpuNorm& norm, int64_t rows, T* x, int64_t stride) const;

  const Kernels<T>& kernels_;
  const vit::v1::ModelConfig config_;
  const int64_t dim_, heads_, tokens_;
  // Of a row of the residual stream, of a head, of all heads, of their queries, keys and values.
  const int64_t x_stride_, head_stride_, heads_stride_, qkv_stride_;
  const CpuAttention<T> attention_;
  int64_t group_images_ = 0;  // computed together
  bool normalizes_ = true;    // whether the blocks' norms do
  float eps_ = 0;             // theirs
  std::optional<CpuPatches<T>> patches_;
  std::vector<Block> blocks_;
  std::optional<CpuHead<T>> head_;
  mutable Mutex mu_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_ VIT_GUARDED_BY(mu_);
};

}  // namespace vit::frozen

#endif  // VIT_CORE_MODEL_FROZEN_CPU_CPU_TRANSFORMER_H_
