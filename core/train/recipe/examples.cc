#include "core/train/recipe/examples.h"

#include <cmath>

#include "core/train/recipe/erasing.h"
#include "core/train/recipe/mixing.h"

namespace vit {

Examples MakeExamples(const vit::v1::TrainingSpec& spec, const StepCounts& steps,
                      const at::Tensor& images, const at::Tensor& labels,
                      const std::vector<int>& slots, int batch_size, int64_t step) {
  Examples examples{.images = images, .targets = {.labels = labels, .parts = {}}};
  const auto image_size = static_cast<int>(images.size(3));
  const vit::v1::RandomErasing& erasing = spec.data().train().random_erasing();
  if (erasing.probability() > 0) {
    examples.images = EraseImages(
        images, PlanErasing(erasing, spec.seed(), step, slots, image_size), erasing.fill());
  }
  const vit::v1::MixingConfig& mixing = spec.mixing();
  const auto unmixed = std::llround(mixing.unmixed_epochs() * static_cast<double>(steps.per_epoch));
  if (!HasMixing(mixing) || step >= steps.total - unmixed) return examples;
  const DeviceMixes mixes(PlanMixing(mixing, spec.seed(), step, slots, batch_size, image_size),
                          images.device());
  examples.images = mixes.MixImages(examples.images);
  examples.targets.parts = mixes.MixLabels(labels, spec.model().num_classes());
  return examples;
}

}  // namespace vit
