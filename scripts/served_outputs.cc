#include "scripts/served_outputs.h"

#include <torch/torch.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "core/base/compute/compute_team.h"
#include "core/base/compute/torch_device.h"
#include "core/model/frozen/frozen_transformer.h"
#include "core/model/normalize.h"
#include "scripts/checked_model.h"

namespace vit {

double ServedOutputs(const std::string& changes, const Device& device, bool bfloat16) {
  using Output = FrozenTransformer::Output;
  constexpr int kImages = 33;  // more than are recorded together
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
  const at::Tensor values = bytes.to(at::kFloat);
  const at::Tensor tokens = on_cpu->ForwardFeatures(Normalizer(Preprocessing(), c10::kCPU)(bytes));
  const std::map<Output, at::Tensor> expected = {
      {Output::kLogits, on_cpu->ForwardHead(tokens)},
      {Output::kFeatures, on_cpu->Pool(tokens)},
      {Output::kTokens, tokens.flatten(1)},
      {Output::kLogitsAndFeatures,
       at::cat({on_cpu->ForwardHead(tokens), on_cpu->Pool(tokens)}, 1)}};
  const std::unique_ptr<FrozenTransformer> frozen = FrozenTransformer::Create(
      *on_device, Preprocessing(), {.image_size = side, .bfloat16 = bfloat16, .stream = stream});
  ComputeTeam team("check", 1);
  double error = 0;
  const auto compare = [&](Output output, int count, bool as_bytes) {
    std::vector<FrozenTransformer::Image> images(count);
    for (int i = 0; i < count; ++i) {
      if (as_bytes) {
        images[i].bytes = bytes[i].const_data_ptr<uint8_t>();
      } else {
        images[i].values = values[i].const_data_ptr<float>();
      }
    }
    at::Tensor out = at::empty({count, frozen->OutputSize(output)});
    frozen->Compute(images, output, &team, out.mutable_data_ptr<float>());
    error = std::max(error, RelativeError(out, expected.at(output).slice(0, 0, count)));
  };
  for (const bool recorded : {false, true}) {
    for (const int count : {1, 4, kImages}) {
      for (const auto& [output, values_of_output] : expected) {
        if (recorded) frozen->Record(count, output);
        // Twice, because a recording's memory is used again.
        for (int turn = 0; turn < 2; ++turn) {
          compare(output, count, /*as_bytes=*/true);
          compare(output, count, /*as_bytes=*/false);
        }
      }
    }
  }
  return error;
}

}  // namespace vit
