// The defaults that follow from other fields, the data or the machine: the schema's `derived`.
#ifndef VIT_CORE_SPEC_DEFAULTS_H_
#define VIT_CORE_SPEC_DEFAULTS_H_

#include <optional>

#include "vit/v1/training.pb.h"

namespace vit {

// What the data and the machine add to a specification.
struct SpecFacts {
  int class_count = 0;
  int native_image_size = 0;  // side of the source's images if all are alike, else 0
  int compute_threads = 1;
  int loader_threads = 1;
  // The least embed_dim of a model that trains faster in bfloat16 on the device; nullopt if none.
  std::optional<int> least_bfloat16_width;
};

// Fills in every field of `spec` that is not set. Fields that depend on facts not known yet (0)
// stay unset, so that the data can be opened with the result; a second call sets the rest.
void FillDefaults(const SpecFacts& facts, vit::v1::TrainingSpec* spec);

// The same for a model alone.
void FillModelDefaults(int class_count, vit::v1::ModelConfig* model);

// The same for opened data under a model of `image_size`.
void FillDataDefaults(const SpecFacts& facts, int image_size, vit::v1::DataConfig* data);

// The same for an optimizer alone.
void FillOptimizerDefaults(int batch_size, vit::v1::OptimizerConfig* optimizer);

// Returns the precision in which a device computes a model of this width faster.
// `least_bfloat16_width`: as in SpecFacts.
vit::v1::Precision FasterPrecision(std::optional<int> least_bfloat16_width, int embed_dim);

// Returns the peak learning rate that base_learning_rate, which must be set, means for
// `batch_size`.
double ScaledLearningRate(int batch_size, const vit::v1::OptimizerConfig& optimizer);

}  // namespace vit

#endif  // VIT_CORE_SPEC_DEFAULTS_H_
