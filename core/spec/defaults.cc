#include "core/spec/defaults.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>

#include "core/spec/rules.h"

namespace vit {
namespace {

namespace v1 = ::vit::v1;

// Sets a field that is not set.
#define VIT_DERIVE(message, field, value) \
  if (!(message)->has_##field()) (message)->set_##field(value)

void DeriveModel(int class_count, v1::ModelConfig* model) {
  const bool batch_norm = model->norm_layer() == v1::NORM_LAYER_BATCH_NORM;
  const bool pools_patches =
      model->global_pool() == v1::GLOBAL_POOL_AVG || model->global_pool() == v1::GLOBAL_POOL_MAX;
  if (class_count > 0) VIT_DERIVE(model, num_classes, class_count);
  VIT_DERIVE(model, patch_width, model->patch_size());
  VIT_DERIVE(model, layer_norm_eps, batch_norm ? 1e-5 : 1e-6);
  VIT_DERIVE(model, fc_norm, pools_patches);
}

void DeriveOptimizer(int batch_size, v1::OptimizerConfig* optimizer) {
  const v1::OptimizerType type = optimizer->type();
  const bool lion = type == v1::OPTIMIZER_TYPE_LION;
  const bool sgd = type == v1::OPTIMIZER_TYPE_SGD;
  // Values out of range are for CheckRules to report.
  if (optimizer->base_learning_rate() > 0 && optimizer->base_batch_size() > 0) {
    VIT_DERIVE(optimizer, learning_rate, ScaledLearningRate(batch_size, *optimizer));
  }
  VIT_DERIVE(optimizer, learning_rate, lion ? 1e-4 : 1e-3);
  VIT_DERIVE(optimizer, weight_decay, type == v1::OPTIMIZER_TYPE_ADAM ? 0 : 0.05);
  if (!sgd) VIT_DERIVE(optimizer, beta2, lion ? 0.99 : 0.999);
  if (!sgd && !lion) VIT_DERIVE(optimizer, eps, type == v1::OPTIMIZER_TYPE_LAMB ? 1e-6 : 1e-8);
}

void DeriveData(const SpecFacts& facts, int image_size, v1::DataConfig* data) {
  constexpr double kCropPct = 0.875;
  v1::EvalTransform* eval = data->mutable_eval();
  VIT_DERIVE(data->mutable_train(), interpolation, data->interpolation());
  VIT_DERIVE(data, validation_split,
             data->folds() > 0 ? v1::VALIDATION_SPLIT_HELD_OUT : v1::VALIDATION_SPLIT_OWN);
  if (facts.class_count == 0) return;  // the data is not open yet
  VIT_DERIVE(eval, image_size, image_size);
  VIT_DERIVE(eval, crop_pct, facts.native_image_size == eval->image_size() ? 1 : kCropPct);
  VIT_DERIVE(data, loader_threads, facts.loader_threads);
}

uint64_t DrawSeed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

double ScaledLearningRate(int batch_size, const v1::OptimizerConfig& optimizer) {
  const double ratio = static_cast<double>(batch_size) / optimizer.base_batch_size();
  const bool root = optimizer.learning_rate_scaling() == v1::LEARNING_RATE_SCALING_SQUARE_ROOT;
  return optimizer.base_learning_rate() * (root ? std::sqrt(ratio) : ratio);
}

v1::Precision FasterPrecision(std::optional<int> least_bfloat16_width, int embed_dim) {
  return least_bfloat16_width.has_value() && embed_dim >= *least_bfloat16_width
             ? v1::PRECISION_BFLOAT16
             : v1::PRECISION_FLOAT32;
}

void FillModelDefaults(int class_count, v1::ModelConfig* model) {
  FillRuleDefaults(model);
  DeriveModel(class_count, model);
  VIT_DERIVE(model, num_classes, class_count);
}

void FillDataDefaults(const SpecFacts& facts, int image_size, v1::DataConfig* data) {
  FillRuleDefaults(data);
  DeriveData(facts, image_size, data);
}

void FillOptimizerDefaults(int batch_size, v1::OptimizerConfig* optimizer) {
  FillRuleDefaults(optimizer);
  DeriveOptimizer(batch_size, optimizer);
}

void FillDefaults(const SpecFacts& facts, v1::TrainingSpec* spec) {
  FillRuleDefaults(spec);
  DeriveModel(facts.class_count, spec->mutable_model());
  DeriveOptimizer(spec->batch_size(), spec->mutable_optimizer());
  DeriveData(facts, spec->model().image_size(), spec->mutable_data());
  VIT_DERIVE(spec->mutable_evaluation(), batch_size, spec->batch_size());
  if (facts.class_count == 0) return;
  VIT_DERIVE(spec->mutable_evaluation(), top_k, std::min(5, facts.class_count));
  VIT_DERIVE(spec, precision,
             FasterPrecision(facts.least_bfloat16_width, spec->model().embed_dim()));
  VIT_DERIVE(spec, seed, DrawSeed());
  VIT_DERIVE(spec, compute_threads, facts.compute_threads);
}

#undef VIT_DERIVE

}  // namespace vit
