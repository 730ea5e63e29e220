#include "core/train/memory_estimate.h"

#include <algorithm>

#include "core/model/model_config.h"
#include "core/train/optimizer_config.h"

namespace vit {
namespace {

// The process before it trains: LibTorch's own pages, gRPC, buffers.
constexpr double kBaseBytes = 200e6;

}  // namespace

int64_t EstimateTrainingMemory(const vit::v1::TrainingSpec& spec, const TrainedPart& trained,
                               int64_t decoded_bytes) {
  const vit::v1::ModelConfig& model = spec.model();
  const double dim = model.embed_dim();
  const double tokens = static_cast<double>(TokenCount(model));
  const double hidden = static_cast<double>(MlpHiddenDim(model));
  const double micro_batch = 1.0 * spec.batch_size() / spec.accumulation_steps();
  const bool bfloat16 = spec.precision() == vit::v1::PRECISION_BFLOAT16;

  // Weights, and of the trained ones gradients and the optimizer's state, with the snapshot that a
  // checkpoint takes of all but the gradients. Lion works out the signs of an update beside it all.
  const double state_copies = OptimizerStateCopies(spec.optimizer());
  const double signs = spec.optimizer().type() == vit::v1::OPTIMIZER_TYPE_LION ? 1 : 0;
  // Each average of the weights, with a snapshot of all of them and of what is averaged.
  const int averages = (spec.averaging().ema_decay() > 0) + spec.averaging().has_swa_start_epoch();
  const double average_copies = averages == 0 ? 0 : 2 * averages + 1;
  const double parameter_bytes = 4.0 * (2 * static_cast<double>(ParameterCount(model)) +
                                        static_cast<double>(trained.parameters) *
                                            (1 + 2 * state_copies + signs + average_copies));

  // What one trained block keeps for its backward pass, for each token: two residual streams and
  // two normalised inputs, q, k, v and the heads' output (4 x dim), the MLP before and after GELU.
  // Under bfloat16 the matrix products' inputs are kept in half the size, the residual streams and
  // norms in float32.
  const double matmul_bytes = bfloat16 ? 2 : 4;
  double token_bytes =
      4 * 2 * dim + matmul_bytes * (6 * dim + 2 * hidden) + (bfloat16 ? 4 * 2 * dim : 0);
  // Dropout keeps a mask, and its output beside its input.
  if (model.proj_drop_rate() > 0) token_bytes += (matmul_bytes + 1) * (2 * dim + hidden);
  if (model.attn_drop_rate() > 0)
    token_bytes += (2 * matmul_bytes + 1) * tokens * model.num_heads();
  if (model.drop_path_rate() > 0) token_bytes += 4 * 2 * dim;
  const double image_floats = 3.0 * model.image_size() * model.image_size();
  const double activation_bytes =
      micro_batch * (tokens * (static_cast<double>(trained.blocks) * token_bytes + 4 * 4 * dim) +
                     4 * 3 * image_floats);
  // Temporaries of the widest layer's backward pass.
  const double transient_bytes = micro_batch * tokens * 4 * 2 * hidden;
  // Batches made ahead, as bytes.
  const double loader_bytes =
      (spec.data().prefetch_batches() + 2.0) * spec.batch_size() * image_floats;
  return static_cast<int64_t>(kBaseBytes + parameter_bytes + activation_bytes + transient_bytes +
                              loader_bytes) +
         decoded_bytes;
}

}  // namespace vit
