#include "core/model/frozen/cpu/cpu_transformer.h"

#include <algorithm>
#include <utility>

#include "core/model/frozen/cpu/buffers.h"
#include "core/model/frozen/folded_weights.h"
#include "core/model/model_config.h"

namespace vit::frozen {
namespace {

// Rows of the images that a thread computes together, about: the more, the seldomer the weights are
// read, and the larger the part of them that is whole tiles of the processor.
constexpr int64_t kGroupRows = 800;
// Rows that go through a block's layers at a time, so that what lies between is in cache.
constexpr int64_t kBlockRows = 128;
// An image that takes fewer operations is not worth a second thread.
constexpr double kLeastSharedFlops = 4e6;

// Returns a weight or bias, [heads * features, ...], with each head's features padded to `to`.
at::Tensor PadHeads(const at::Tensor& x, int64_t heads, int64_t to) {
  const at::Tensor split = x.reshape({heads, x.size(0) / heads, -1});
  const at::Tensor padded = at::constant_pad_nd(split, {0, 0, 0, to - split.size(1)});
  return x.dim() == 1 ? padded.flatten() : padded.flatten(0, 1);
}

}  // namespace

template <typename T>
struct CpuTransformer<T>::Block {
  PackedLinear<T> query, key_value, proj, fc1, fc2;
  CpuNorm query_norm, key_norm;  // of each head
  // The residual stream lacks the biases that were to be added to it. These are their sums before
  // attention and MLP, [x_stride].
  at::Tensor attention_offset, mlp_offset;
};

template <typename T>
struct CpuTransformer<T>::Activations {
  at::Tensor x;         // float32 [rows, x_stride], the residual stream
  at::Tensor attended;  // T [rows, heads_stride]
  // T [rows, qkv_stride], that of even and of odd blocks: a thread may write the next block's while
  // another reads this one's. The same if only one thread has these rows.
  at::Tensor qkv[2];

  float* X(int64_t row) const { return x.template data_ptr<float>() + row * x.size(1); }
  T* Attended(int64_t row) const {
    return attended.template data_ptr<T>() + row * attended.size(1);
  }
  T* Qkv(size_t block, int64_t row) const {
    const at::Tensor& of_block = qkv[block % 2];
    return of_block.template data_ptr<T>() + row * of_block.size(1);
  }
};

// What a thread needs for itself.
template <typename T>
struct CpuTransformer<T>::Scratch {
  float* Tile() const { return tile.template data_ptr<float>(); }
  T* Normalized() const { return normalized.template data_ptr<T>(); }

  CpuPatches<T>::Scratch patches;
  at::Tensor normalized, hidden, tile;  // of kBlockRows
  CpuAttention<T>::Scratch attention;
  // The rows of ComputeLastBlock.
  at::Tensor last_x, last_query, last_attended;
  CpuHead<T>::Scratch head;
};

template <typename T>
struct CpuTransformer<T>::Workspace {
  struct Thread {
    Activations activations;
    Scratch scratch;
  };
  std::vector<Thread> threads;
  Activations shared;
};

template <typename T>
CpuTransformer<T>::CpuTransformer(const VisionTransformerImpl& model,
                                  const vit::v1::DataConfig& preprocessing, int64_t image_size)
    : kernels_(BestKernels<T>()),
      config_(model.config()),
      dim_(config_.embed_dim()),
      heads_(config_.num_heads()),
      tokens_(PrefixTokenCount(config_) +
              image_size / config_.patch_size() * (image_size / config_.patch_width())),
      x_stride_(RoundUpToLanes(dim_)),
      head_stride_(RoundUpToLine<T>(dim_ / heads_)),
      heads_stride_(heads_ * head_stride_),
      qkv_stride_(3 * heads_stride_),
      attention_(tokens_, heads_, head_stride_) {
  const c10::InferenceMode inference;
  const FoldedWeights weights = Fold(model, preprocessing, image_size);
  patches_.emplace(config_, weights, image_size, x_stride_);
  normalizes_ = weights.normalizes;
  eps_ = static_cast<float>(weights.eps);
  AddBlocks(weights);
  group_images_ = std::max<int64_t>(1, kGroupRows / tokens_);
}

template <typename T>
void CpuTransformer<T>::AddBlocks(const FoldedWeights& weights) {
  at::Tensor offset = at::zeros(dim_);
  for (const FoldedBlock& from : weights.blocks) {
    Block& block = blocks_.emplace_back();
    const auto part = [&](int64_t first, int64_t last) {
      const auto slice = [&](const at::Tensor& x) {
        return PadHeads(x.slice(0, first * dim_, last * dim_), (last - first) * heads_,
                        head_stride_);
      };
      return FoldedLinear{slice(from.qkv.weight), slice(from.qkv.bias)};
    };
    block.query = PackedLinear<T>(part(0, 1));
    block.key_value = PackedLinear<T>(part(1, 3));
    block.query_norm = CpuNorm(from.q_norm);
    block.key_norm = CpuNorm(from.k_norm);
    const at::Tensor by_head = PadHeads(from.proj.weight.t(), heads_, head_stride_);
    block.proj = PackedLinear<T>({by_head.t(), from.proj.bias});
    block.fc1 = PackedLinear<T>(from.fc1);
    block.fc2 = PackedLinear<T>(from.fc2);
    block.attention_offset = PadColumns(offset, x_stride_);
    offset = offset + from.proj.bias;
    block.mlp_offset = PadColumns(offset, x_stride_);
    offset = offset + from.fc2.bias;
  }
  head_.emplace(config_, weights, tokens_, x_stride_, PadColumns(offset, x_stride_));
}

template <typename T>
CpuTransformer<T>::~CpuTransformer() = default;

template <typename T>
int64_t CpuTransformer<T>::OutputSize(Output output) const {
  return head_->OutputSize(output);
}

template <typename T>
CpuTransformer<T>::Activations CpuTransformer<T>::MakeActivations(int64_t images, int turns) const {
  const int64_t rows = images * tokens_;
  const at::Tensor qkv = Zeros<T>({rows, qkv_stride_});
  return {.x = Zeros<float>({rows, x_stride_}),
          .attended = Zeros<T>({rows, heads_stride_}),
          .qkv = {qkv, turns == 2 ? Zeros<T>({rows, qkv_stride_}) : qkv}};
}

template <typename T>
CpuTransformer<T>::Scratch CpuTransformer<T>::MakeScratch() const {
  const int64_t last_rows = group_images_ * head_->NeededTokens(Output::kLogits);
  const bool in_front = head_->NeededTokens(Output::kLogits) < tokens_;
  const int64_t rows = in_front ? std::max(kBlockRows, last_rows) : kBlockRows;
  Scratch scratch = {
      .patches = patches_->MakeScratch(),
      .normalized = Zeros<T>({rows, blocks_.front().query.inputs()}),
      .hidden = Zeros<T>({rows, blocks_.front().fc2.inputs()}),
      .tile = Zeros<float>({rows, PackedLinear<T>::kBlock}),
      .attention = attention_.MakeScratch(),
      .last_x = {},
      .last_query = {},
      .last_attended = {},
      .head = head_->MakeScratch(group_images_),
  };
  if (in_front) {
    scratch.last_x = Zeros<float>({last_rows, x_stride_});
    scratch.last_query = Zeros<T>({last_rows, heads_stride_});
    scratch.last_attended = Zeros<T>({last_rows, heads_stride_});
  }
  return scratch;
}

template <typename T>
std::unique_ptr<typename CpuTransformer<T>::Workspace> CpuTransformer<T>::TakeWorkspace(
    int threads) const {
  auto workspace = std::make_unique<Workspace>();
  {
    MutexLock lock(&mu_);
    if (!idle_.empty()) {
      workspace = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (static_cast<int>(workspace->threads.size()) >= threads) return workspace;
  const c10::InferenceMode inference;
  while (static_cast<int>(workspace->threads.size()) < threads) {
    workspace->threads.push_back({MakeActivations(group_images_, 1), MakeScratch()});
  }
  if (threads > 1) workspace->shared = MakeActivations(threads - 1, 2);
  return workspace;
}

template <typename T>
void CpuTransformer<T>::ReturnWorkspace(std::unique_ptr<Workspace> workspace) const {
  MutexLock lock(&mu_);
  idle_.push_back(std::move(workspace));
}

template <typename T>
void CpuTransformer<T>::Compute(absl::Span<const Image> images, Output output, ComputeTeam* team,
                                float* out) const {
  const auto count = static_cast<int64_t>(images.size());
  const int64_t size = OutputSize(output);
  int64_t members = team->size();
  if (ForwardFlops(config_) < kLeastSharedFlops) members = std::min(members, count);
  const int64_t each = count / members, left = count % members;
  const int64_t piece = CeilDiv(each, std::max<int64_t>(1, CeilDiv(each, group_images_)));
  std::unique_ptr<Workspace> workspace = TakeWorkspace(static_cast<int>(members));
  team->Run(static_cast<int>(members), [&](int rank) {
    auto& [activations, scratch] = workspace->threads[rank];
    const int64_t end = (rank + 1) * each;
    for (int64_t first = rank * each; first < end; first += piece) {
      const int64_t some = std::min(piece, end - first);
      const Group group = {images.subspan(first, some), output, &activations, out + first * size};
      ComputePart(group, {0, some * tokens_}, {0, some}, &scratch, [] {});
    }
    if (left > 0) {
      const int64_t first = members * each, rows = left * tokens_;
      const int64_t share = RoundUpToLanes(CeilDiv(rows, members));
      const Group group = {images.subspan(first), output, &workspace->shared, out + first * size};
      ComputePart(group, {std::min(rows, rank * share), std::min(rows, (rank + 1) * share)},
                  {std::min<int64_t>(left, rank), std::min<int64_t>(left, rank + 1)}, &scratch,
                  [&] { team->Await(); });
    }
    EndProducts<T>();
  });
  ReturnWorkspace(std::move(workspace));
}

template <typename T>
template <typename Await>
void CpuTransformer<T>::ComputePart(const Group& group, const Range& rows, const Range& images,
                                    Scratch* scratch, const Await& await) const {
  const Activations& activations = *group.activations;
  const auto for_each_piece = [&](const auto& work) {
    for (int64_t row = rows.first; row < rows.last; row += kBlockRows) {
      work(Range{row, std::min(rows.last, row + kBlockRows)});
    }
  };
  const int64_t needed = head_->NeededTokens(group.output);
  const bool in_front = needed < tokens_;
  const size_t depth = blocks_.size();
  patches_->Embed(group.images, rows.first, rows.last, activations.X(rows.first),
                  &scratch->patches);
  for_each_piece([&](const Range& some) { Project(group, 0, some, scratch); });
  for (size_t i = 0; i < depth - (in_front ? 1 : 0); ++i) {
    await();
    Attend(group, i, rows, scratch);
    for_each_piece([&](const Range& some) {
      Feed(blocks_[i], activations.Attended(some.first), some.size(), activations.X(some.first),
           scratch);
      if (i + 1 < depth) Project(group, i + 1, some, scratch);
    });
  }
  await();
  if (images.size() == 0) return;
  if (in_front) ComputeLastBlock(group, images, needed, scratch);
  const float* const x =
      in_front ? scratch->last_x.template data_ptr<float>() : activations.X(images.first * tokens_);
  head_->Finish(group.output, x, images.size(), group.out + images.first * OutputSize(group.output),
                &scratch->head);
}

template <typename T>
void CpuTransformer<T>::Normalize(const float* x, const at::Tensor& offset, int64_t rows,
                                  T* out) const {
  const NormInput in = {x, x_stride_, offset.const_data_ptr<float>(), rows, dim_, eps_};
  const int64_t stride = blocks_.front().query.inputs();
  normalizes_ ? kernels_.normalize(in, out, stride) : kernels_.convert(in, out, stride);
}

template <typename T>
void CpuTransformer<T>::NormalizeHeads(const CpuNorm& norm, int64_t rows, T* x,
                                       int64_t stride) const {
  if (!norm.exists()) return;
  kernels_.normalize_heads(
      x, stride, rows,
      {norm.weight(), norm.bias(), heads_, head_stride_, dim_ / heads_, norm.eps()});
}

template <typename T>
void CpuTransformer<T>::ProjectQueries(const Block& block, int64_t rows, T* out, int64_t out_stride,
                                       Scratch* scratch) const {
  block.query.Apply(scratch->Normalized(), block.query.inputs(), rows,
                    vit::v1::ACTIVATION_UNSPECIFIED, out, out_stride, scratch->Tile());
  NormalizeHeads(block.query_norm, rows, out, out_stride);
}

template <typename T>
void CpuTransformer<T>::Project(const Group& group, size_t index, const Range& rows,
                                Scratch* scratch) const {
  const Block& block = blocks_[index];
  const int64_t count = rows.size();
  T* const out = group.activations->Qkv(index, rows.first);
  Normalize(group.activations->X(rows.first), block.attention_offset, count, scratch->Normalized());
  const bool last = index + 1 == blocks_.size();
  if (!last || head_->NeededTokens(group.output) == tokens_) {
    ProjectQueries(block, count, out, qkv_stride_, scratch);
  }
  T* const keys = out + heads_stride_;
  block.key_value.Apply(scratch->Normalized(), block.key_value.inputs(), count,
                        vit::v1::ACTIVATION_UNSPECIFIED, keys, qkv_stride_, scratch->Tile());
  NormalizeHeads(block.key_norm, count, keys, qkv_stride_);
}

template <typename T>
void CpuTransformer<T>::Attend(const Group& group, size_t index, const Range& rows,
                               Scratch* scratch) const {
  const Activations& activations = *group.activations;
  for (int64_t row = rows.first; row < rows.last;) {
    const int64_t image = row / tokens_;
    const int64_t end = std::min(rows.last, (image + 1) * tokens_);
    attention_.Attend(activations.Qkv(index, row), qkv_stride_, end - row,
                      activations.Qkv(index, image * tokens_) + heads_stride_, qkv_stride_,
                      activations.Attended(row), &scratch->attention);
    row = end;
  }
}

template <typename T>
void CpuTransformer<T>::Feed(const Block& block, const T* attended, int64_t rows, float* x,
                             Scratch* scratch) const {
  T* const hidden = scratch->hidden.template data_ptr<T>();
  const int64_t stride = block.fc2.inputs();
  block.proj.Add(attended, heads_stride_, rows, x, x_stride_);
  Normalize(x, block.mlp_offset, rows, scratch->Normalized());
  block.fc1.Apply(scratch->Normalized(), block.fc1.inputs(), rows, config_.activation(), hidden,
                  stride, scratch->Tile());
  block.fc2.Add(hidden, stride, rows, x, x_stride_);
}

template <typename T>
void CpuTransformer<T>::ComputeLastBlock(const Group& group, const Range& images, int64_t tokens,
                                         Scratch* scratch) const {
  const Activations& activations = *group.activations;
  const Block& block = blocks_.back();
  const int64_t rows = images.size() * tokens;
  float* const x = scratch->last_x.template data_ptr<float>();
  T* const queries = scratch->last_query.template data_ptr<T>();
  T* const attended = scratch->last_attended.template data_ptr<T>();
  for (int64_t i = 0; i < images.size(); ++i) {
    std::copy_n(activations.X((images.first + i) * tokens_), tokens * x_stride_,
                x + i * tokens * x_stride_);
  }
  Normalize(x, block.attention_offset, rows, scratch->Normalized());
  ProjectQueries(block, rows, queries, heads_stride_, scratch);
  for (int64_t i = 0; i < images.size(); ++i) {
    attention_.Attend(
        queries + i * tokens * heads_stride_, heads_stride_, tokens,
        activations.Qkv(blocks_.size() - 1, (images.first + i) * tokens_) + heads_stride_,
        qkv_stride_, attended + i * tokens * heads_stride_, &scratch->attention);
  }
  Feed(block, attended, rows, x, scratch);
}

template class CpuTransformer<float>;
template class CpuTransformer<at::BFloat16>;

}  // namespace vit::frozen
