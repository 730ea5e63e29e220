#include "scripts/served_logits.h"

#include <torch/torch.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "core/base/compute/compute_team.h"
#include "core/base/compute/torch_device.h"
#include "core/model/frozen/frozen_transformer.h"
#include "core/model/normalize.h"
#include "scripts/checked_model.h"

namespace vit {

double ServedLogits(const std::string& changes, const Device& device, bool bfloat16) {
  using Output = FrozenTransformer::Output;
  constexpr int kImages = 7;
  const vit::v1::ModelConfig config = CheckedModel(changes);
  const int64_t side = config.image_size();
  const c10::Device where = TorchDevice(device);
  const std::optional<c10::Stream> stream = ServingStream(where);
  const UseStream use(stream);
  const c10::InferenceMode inference;
  VisionTransformer on_cpu = NewModel(config, c10::kCPU), on_device = NewModel(config, where);
  on_cpu->eval();
  on_device->eval();
  const at::Tensor bytes = at::arange(kImages * 3 * side * side, at::kLong)
                               .mul(37)
                               .remainder(251)
                               .to(at::kByte)
                               .view({kImages, 3, side, side});
  const at::Tensor expected = on_cpu->forward(Normalizer(Preprocessing(), c10::kCPU)(bytes));
  const std::unique_ptr<FrozenTransformer> frozen = FrozenTransformer::Create(
      *on_device, Preprocessing(), {.image_size = side, .bfloat16 = bfloat16, .stream = stream});
  ComputeTeam team("check", 1);
  double error = 0;
  // A CUDA device computes, records, and then replays what it recorded.
  for (int round = 0; round < 3; ++round) {
    for (const int count : {1, 4, kImages}) {
      std::vector<FrozenTransformer::Image> images;
      for (int i = 0; i < count; ++i) {
        images.push_back({.bytes = bytes[i].const_data_ptr<uint8_t>()});
      }
      at::Tensor logits = at::empty({count, kClasses});
      frozen->Compute(images, Output::kLogits, &team, logits.mutable_data_ptr<float>());
      error = std::max(error, RelativeError(logits, expected.slice(0, 0, count)));
    }
  }
  return error;
}

}  // namespace vit
