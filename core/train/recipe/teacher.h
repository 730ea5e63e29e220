// The model whose answers a run learns from.
#ifndef VIT_CORE_TRAIN_RECIPE_TEACHER_H_
#define VIT_CORE_TRAIN_RECIPE_TEACHER_H_

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "core/base/compute/device.h"
#include "core/model/vision_transformer.h"
#include "vit/v1/training.pb.h"

namespace vit {

// A model in evaluation mode that classifies the student's images. Not thread-safe.
class Teacher {
 public:
  // Loads the model in `directory`, for a student of `spec` (effective). INVALID_ARGUMENT and
  // DATA_LOSS for weights that do not fit.
  static absl::StatusOr<std::unique_ptr<Teacher>> Load(const std::filesystem::path& directory,
                                                       const vit::v1::TrainingSpec& spec,
                                                       const Device& device);

  // Returns logits, [B, K], float32, without gradient. `images`: [B, 3, S, S], normalised for the
  // student.
  at::Tensor Logits(const at::Tensor& images);

 private:
  Teacher(VisionTransformer model, int64_t image_size, bool bfloat16)
      : model_(std::move(model)), image_size_(image_size), bfloat16_(bfloat16) {}

  VisionTransformer model_;
  const int64_t image_size_;
  const bool bfloat16_;
  at::Tensor scale_, shift_;  // [1, 3, 1, 1]: from the student's normalisation to the teacher's
};

}  // namespace vit

#endif  // VIT_CORE_TRAIN_RECIPE_TEACHER_H_
