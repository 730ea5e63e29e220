#include "core/train/memory_estimate.h"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "core/model/model_config.h"
#include "core/train/optim/optimizer_config.h"

namespace vit {
namespace {

// The process before it trains: LibTorch's own pages, gRPC, buffers.
constexpr double kBaseBytes = 200e6;
// CUDA's context and libraries, on the host and the device, with cuBLAS' workspaces.
constexpr double kCudaHostBytes = 1.5e9, kCudaDeviceBytes = 600e6;

// Returns what a block of host memory takes: for CUDA it is pinned, which LibTorch rounds up to a
// power of two.
double HostBlock(double bytes, Device::Kind device) {
  if (device == Device::Kind::kCpu) return bytes;
  return static_cast<double>(std::bit_ceil(static_cast<uint64_t>(bytes)));
}

}  // namespace

MemoryEstimate EstimateTrainingMemory(const vit::v1::TrainingSpec& spec, const TrainedPart& trained,
                                      int64_t decoded_bytes, Device::Kind device) {
  const vit::v1::ModelConfig& model = spec.model();
  const double dim = model.embed_dim();
  const double tokens = static_cast<double>(TokenCount(model));
  const double hidden = static_cast<double>(MlpHiddenDim(model));
  const double micro_batch = 1.0 * spec.batch_size() / spec.accumulation_steps();
  const bool bfloat16 = spec.precision() == vit::v1::PRECISION_BFLOAT16;

  // Weights, and for the trained ones gradients, the optimizer's state and averages. Lion needs one
  // more copy for the signs of an update.
  const double state_copies = OptimizerStateCopies(spec.optimizer());
  const double signs = spec.optimizer().type() == vit::v1::OPTIMIZER_TYPE_LION ? 1 : 0;
  const int averages = (spec.averaging().ema_decay() > 0) + spec.averaging().has_swa_start_epoch();
  const auto all = static_cast<double>(ParameterCount(model));
  const auto trained_parameters = static_cast<double>(trained.parameters);
  const double parameter_bytes =
      4.0 * (all + trained_parameters * (1 + state_copies + signs + averages));
  // The snapshot for a checkpoint: everything but the gradients, and with averages the weights
  // before averaging as well. It is copied in large blocks.
  const int snapshot_copies = averages > 0 ? averages + 1 : 0;
  const double snapshot_bytes =
      HostBlock(4.0 * all, device) +
      (state_copies + snapshot_copies) * HostBlock(4.0 * trained_parameters, device);

  // What one trained block keeps for its backward pass, for each token: two residual streams and
  // two normalised inputs, q, k, v and the heads' output (4 x dim), the MLP before and after GELU.
  // Under bfloat16 the matrix products' inputs take half the size; the residual streams stay in
  // float32, on CUDA the norms' outputs too.
  const double matmul_bytes = bfloat16 ? 2 : 4;
  const double norm_bytes = bfloat16 && device != Device::Kind::kCpu ? 4 : 0;
  double token_bytes = 4 * 2 * dim + matmul_bytes * (6 * dim + 2 * hidden) + norm_bytes * 2 * dim;
  // Dropout keeps a mask, and its output in addition to its input.
  if (model.proj_drop_rate() > 0) token_bytes += (matmul_bytes + 1) * (2 * dim + hidden);
  if (model.attn_drop_rate() > 0) {
    token_bytes += (2 * matmul_bytes + 1) * tokens * model.num_heads();
  }
  if (model.drop_path_rate() > 0) token_bytes += 4 * 2 * dim;
  const double image_floats = 3.0 * model.image_size() * model.image_size();
  const double activation_bytes =
      micro_batch * (tokens * (static_cast<double>(trained.blocks) * token_bytes + 4 * 4 * dim) +
                     4 * 3 * image_floats);
  // Temporaries of the widest layer's backward pass.
  const double transient_bytes = micro_batch * tokens * 4 * 2 * hidden;
  // Prefetched batches, as bytes.
  const double batch_bytes = spec.batch_size() * image_floats;
  const double loader_bytes =
      (spec.data().prefetch_batches() + 2.0) * HostBlock(batch_bytes, device);
  // On CUDA, autocast keeps copies of the weights for the backward pass.
  const double cast_bytes = bfloat16 && device != Device::Kind::kCpu ? 2.0 * all : 0;
  const double computing = parameter_bytes + cast_bytes + activation_bytes + transient_bytes;
  const double beside = kBaseBytes + snapshot_bytes + loader_bytes;
  if (device == Device::Kind::kCpu) {
    return {.host_bytes = static_cast<int64_t>(computing + beside) + decoded_bytes};
  }
  const double staged_bytes = 2 * batch_bytes;  // being copied
  return {.host_bytes = static_cast<int64_t>(beside + kCudaHostBytes) + decoded_bytes,
          .device_bytes = static_cast<int64_t>(computing + staged_bytes + kCudaDeviceBytes)};
}

}  // namespace vit
