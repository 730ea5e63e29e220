#include "core/model/frozen/tensor_transformer.h"

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cmath>

#include "core/base/compute/compute_threads.h"
#include "core/base/compute/torch_device.h"
#include "core/model/frozen/byte_centre.h"
#include "core/model/frozen/image_batch.h"
#include "core/model/frozen/output.h"
#include "core/model/model_config.h"

namespace vit::frozen {
namespace {

// Beyond, what a graph saves does not count.
constexpr int64_t kMostRecordedImages = 32;
// The part of the device's memory that a batch may take, so that no call can take that memory from
// a training run.
constexpr int64_t kMostBatchBytes = int64_t{1} << 30;

at::Tensor Normalize(const FoldedNorm& norm, const at::Tensor& x) {
  if (!norm.exists()) return x;
  const at::Tensor floats = x.to(at::kFloat);
  if (!norm.normalizes) return floats * norm.weight + norm.bias;
  return at::layer_norm(floats, {norm.weight.size(0)}, norm.weight, norm.bias, norm.eps);
}

at::Tensor Activate(vit::v1::Activation activation, const at::Tensor& x) {
  switch (activation) {
    case vit::v1::ACTIVATION_QUICK_GELU:
      return x * at::sigmoid(1.702 * x);
    case vit::v1::ACTIVATION_GELU_TANH:
      return at::gelu(x, "tanh");
    default:
      return at::gelu(x);
  }
}

c10::Device DeviceOf(const VisionTransformerImpl& model) {
  return model.parameters().front().device();
}

int64_t ImagesAtOnce(vit::v1::ModelConfig config, int64_t image_size) {
  config.set_image_size(static_cast<int32_t>(image_size));
  return std::max<int64_t>(1, kMostBatchBytes / ForwardBytes(config));
}

}  // namespace

at::Tensor TensorTransformer::Layer::operator()(const at::Tensor& x) const {
  return at::linear(x.to(weight.scalar_type()), weight, bias);
}

TensorTransformer::Layer TensorTransformer::MakeLayer(const FoldedLinear& linear) const {
  if (!linear.exists()) return {};
  return {linear.weight.to(device_, type_), linear.bias.to(device_, type_)};
}

FoldedNorm TensorTransformer::MakeNorm(const FoldedNorm& norm) const {
  if (!norm.exists()) return norm;
  FoldedNorm moved = norm;
  moved.weight = norm.weight.to(device_);
  moved.bias = norm.bias.to(device_);
  return moved;
}

TensorTransformer::TensorTransformer(const VisionTransformerImpl& model,
                                     const vit::v1::DataConfig& preprocessing,
                                     const Options& options)
    : config_(model.config()),
      image_size_(options.image_size),
      device_(DeviceOf(model)),
      type_(options.bfloat16 ? at::kBFloat16 : at::kFloat),
      stream_(options.stream),
      at_once_(ImagesAtOnce(config_, image_size_)) {
  const c10::InferenceMode inference;
  const FoldedWeights weights = Fold(model, preprocessing, image_size_);
  normalizes_ = weights.normalizes;
  eps_ = weights.eps;
  patches_ = MakeLayer(weights.patches);
  pixels_ = MakeNorm(weights.pixels);
  patch_norm_ = MakeNorm(weights.patch_norm);
  norm_pre_ = MakeNorm(weights.norm_pre);
  norm_ = MakeNorm(weights.norm);
  fc_norm_ = MakeNorm(weights.fc_norm);
  prefix_ = weights.prefix.unsqueeze(0).to(device_);
  positions_ = weights.positions.to(device_);
  for (const FoldedBlock& block : weights.blocks) {
    blocks_.push_back({.qkv = MakeLayer(block.qkv),
                       .proj = MakeLayer(block.proj),
                       .fc1 = MakeLayer(block.fc1),
                       .fc2 = MakeLayer(block.fc2),
                       .q_norm = MakeNorm(block.q_norm),
                       .k_norm = MakeNorm(block.k_norm)});
  }
  pre_logits_ = MakeLayer(weights.pre_logits);
  head_ = MakeLayer(weights.head);
  head_dist_ = MakeLayer(weights.head_dist);
}

TensorTransformer::~TensorTransformer() = default;

int64_t TensorTransformer::OutputSize(Output output) const {
  return frozen::OutputSize(config_, prefix_.size(1) + positions_.size(0), output);
}

void TensorTransformer::Compute(absl::Span<const Image> images, Output output, ComputeTeam* team,
                                float* out) const {
  const c10::InferenceMode inference;
  const UseStream use(stream_);
  const auto at_once = static_cast<size_t>(at_once_);
  for (size_t first = 0; first < images.size(); first += at_once) {
    const absl::Span<const Image> some = images.subspan(first, at_once);
    const at::Tensor batch = HostBatch(some, image_size_, device_);
    if (device_.is_cpu()) {
      SetComputeThreads(team->size());
      const at::Tensor result = Forward(batch, output).contiguous();
      std::copy_n(result.const_data_ptr<float>(), result.numel(), out);
    } else {
      ComputeOnDevice(batch, output, out);
    }
    out += static_cast<int64_t>(some.size()) * OutputSize(output);
  }
}

void TensorTransformer::ComputeOnDevice(const at::Tensor& images, Output output, float* out) const {
  const at::Tensor host =
      EmptyHostTensor({images.size(0), OutputSize(output)}, at::kFloat, device_);
  c10::Event computed(device_.type());
  {
    MutexLock lock(&mu_);
    host.copy_(Run(images, output), /*non_blocking=*/true);
    computed.record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  }
  computed.synchronize();
  std::copy_n(host.const_data_ptr<float>(), host.numel(), out);
}

at::Tensor TensorTransformer::Run(const at::Tensor& images, Output output) const {
  const auto known = recordings_.find(Key(images.size(0), output));
  if (known == recordings_.end() || images.is_floating_point()) {
    return Forward(images.to(device_, /*non_blocking=*/true), output);
  }
  input_.slice(0, 0, images.size(0)).copy_(images, /*non_blocking=*/true);
  known->second.graph.Run();
  return known->second.result;
}

void TensorTransformer::Record(int64_t images, Output output) const {
  if (device_.is_cpu() || images > std::min(at_once_, kMostRecordedImages)) return;
  const c10::InferenceMode inference;
  const UseStream use(stream_);
  MutexLock lock(&mu_);
  if (recordings_.contains(Key(images, output))) return;
  if (!input_.defined()) {
    input_ = at::zeros({std::min(at_once_, kMostRecordedImages), 3, image_size_, image_size_},
                       at::TensorOptions(at::kByte).device(device_));
  }
  const at::Tensor some = input_.slice(0, 0, images);
  // Not recorded: what libraries set up when they are first used.
  const at::Tensor first = Forward(some, output);
  const CudaGraph* const shared =
      recordings_.empty() ? nullptr : &recordings_.begin()->second.graph;
  Recording recording;
  // Outside the graphs' memory, which the next one overwrites.
  recording.result = at::empty_like(first);
  recording.graph.Record(shared, [&] { recording.result.copy_(Forward(some, output)); });
  recordings_.emplace(Key(images, output), std::move(recording));
}

at::Tensor TensorTransformer::Embed(const at::Tensor& images) const {
  const int64_t height = config_.patch_size(), width = config_.patch_width();
  const int64_t batch = images.size(0), rows = image_size_ / height, columns = image_size_ / width;
  at::Tensor patches = images.view({batch, 3, rows, height, columns, width})
                           .permute({0, 2, 4, 1, 3, 5})
                           .reshape({batch, rows * columns, 3 * height * width});
  // A byte and its difference are exact in bfloat16.
  patches = patches.to(images.is_floating_point() || pixels_.exists() ? at::kFloat : type_);
  patches = patches.sub(kByteCentre);
  if (pixels_.exists()) {
    patches = at::layer_norm(Normalize(pixels_, patches), {patches.size(2)}, {}, {}, eps_);
  }
  const at::Tensor tokens =
      Normalize(patch_norm_, patches_(patches).to(at::kFloat)).add(positions_);
  return Normalize(norm_pre_, at::cat({prefix_.expand({batch, -1, -1}), tokens}, 1));
}

at::Tensor TensorTransformer::Normalized(const at::Tensor& x) const {
  return normalizes_ ? at::layer_norm(x, {x.size(-1)}, {}, {}, eps_) : x;
}

at::Tensor TensorTransformer::Apply(const Block& block, const at::Tensor& x,
                                    int64_t queries) const {
  const int64_t batch = x.size(0), tokens = x.size(1), heads = config_.num_heads();
  const at::Tensor qkv =
      block.qkv(Normalized(x)).view({batch, tokens, 3, heads, -1}).permute({2, 0, 3, 1, 4});
  const at::Tensor query = Normalize(block.q_norm, qkv[0].slice(2, 0, queries)).to(type_);
  const at::Tensor key = Normalize(block.k_norm, qkv[1]).to(type_);
  // The rest of the scale is in the queries.
  const at::Tensor attended =
      at::scaled_dot_product_attention(query, key, qkv[2], {}, 0, false, std::log(2.0))
          .transpose(1, 2)
          .flatten(2);
  const at::Tensor sum = x.slice(1, 0, queries) + block.proj(attended);
  return sum + block.fc2(Activate(config_.activation(), block.fc1(Normalized(sum))));
}

at::Tensor TensorTransformer::Forward(const at::Tensor& images, Output output) const {
  at::Tensor x = Embed(images);
  const int64_t needed = NeededTokens(config_, x.size(1), output);
  for (const Block& block : blocks_) {
    x = Apply(block, x, &block == &blocks_.back() ? needed : x.size(1));
  }
  const at::Tensor tokens = Normalize(norm_, x);
  if (output == Output::kTokens) return tokens.flatten(1);
  const at::Tensor features = Normalize(fc_norm_, Pool(tokens));
  if (output == Output::kFeatures) return features;
  at::Tensor logits = Logits(head_, features);
  if (head_dist_.exists()) logits = (logits + Logits(head_dist_, tokens.select(1, 1))) / 2;
  return output == Output::kLogits ? logits : at::cat({logits, features}, 1);
}

at::Tensor TensorTransformer::Pool(const at::Tensor& tokens) const {
  const at::Tensor patches = tokens.slice(1, prefix_.size(1));
  switch (config_.global_pool()) {
    case vit::v1::GLOBAL_POOL_AVG:
      return patches.mean(1);
    case vit::v1::GLOBAL_POOL_MAX:
      return patches.amax(1);
    case vit::v1::GLOBAL_POOL_FLATTEN:
      return patches.transpose(1, 2).flatten(1);
    case vit::v1::GLOBAL_POOL_TOKEN_AND_AVG:
      return at::cat({tokens.select(1, 0), patches.mean(1)}, 1);
    default:
      return tokens.select(1, 0);
  }
}

at::Tensor TensorTransformer::Logits(const Layer& head, const at::Tensor& features) const {
  at::Tensor x = features;
  if (pre_logits_.exists()) {
    const bool gelu =
        config_.representation_activation() == vit::v1::REPRESENTATION_ACTIVATION_GELU;
    x = pre_logits_(x);
    x = gelu ? at::gelu(x) : x.tanh();
  }
  return head(x).to(at::kFloat);
}

}  // namespace vit::frozen
