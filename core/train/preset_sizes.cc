#include "core/train/preset_sizes.h"

#include "core/model/model_config.h"
#include "core/spec/defaults.h"
#include "core/train/memory_estimate.h"
#include "core/train/optim/trained_part.h"

namespace vit {
namespace {

constexpr int kUsualClassCount = 1000;

}  // namespace

void SetPresetSizes(int batch_size, vit::v1::Preset* preset) {
  vit::v1::TrainingSpec spec = preset->spec();
  if (batch_size > 0) spec.set_batch_size(batch_size);
  FillDefaults({.class_count = kUsualClassCount}, &spec);
  preset->set_parameter_count(ParameterCount(spec.model()));
  preset->set_forward_flops(ForwardFlops(spec.model()));
  // A test finds presets whose patterns do not fit their model.
  const TrainedPart all{.parameters = preset->parameter_count(), .blocks = spec.model().depth()};
  preset->set_training_memory_bytes(EstimateTrainingMemory(spec,
                                                           FindTrainedPart(spec).value_or(all),
                                                           /*decoded_bytes=*/0, Device::Kind::kCpu)
                                        .host_bytes);
}

}  // namespace vit
