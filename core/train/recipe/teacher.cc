#include "core/train/recipe/teacher.h"

#include <torch/torch.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/compute/torch_device.h"
#include "core/base/status.h"
#include "core/data/data_config.h"
#include "core/model/autocast.h"
#include "core/weights/load_model.h"

namespace vit {

absl::StatusOr<std::unique_ptr<Teacher>> Teacher::Load(const std::filesystem::path& directory,
                                                       const vit::v1::TrainingSpec& spec,
                                                       const Device& device) {
  const c10::Device where = TorchDevice(device);
  absl::StatusOr<LoadedModel> loaded = LoadModel(directory, where);
  if (!loaded.ok()) {
    return Annotate(loaded.status(),
                    absl::StrCat("distillation.teacher ", spec.distillation().teacher()));
  }
  const ModelDescription& description = loaded->description;
  const vit::v1::DataConfig& own = description.preprocessing;
  std::unique_ptr<Teacher> teacher(
      new Teacher(std::move(loaded->model), EvalImageSize(own, description.model.image_size()),
                  description.precision == vit::v1::PRECISION_BFLOAT16 && device.has_bfloat16()));
  // (x * student_std + student_mean - own_mean) / own_std
  std::vector<float> scale, shift;
  for (int c = 0; c < 3; ++c) {
    scale.push_back(static_cast<float>(spec.data().std(c) / own.std(c)));
    shift.push_back(static_cast<float>((spec.data().mean(c) - own.mean(c)) / own.std(c)));
  }
  teacher->scale_ = at::tensor(scale).view({1, 3, 1, 1}).to(where);
  teacher->shift_ = at::tensor(shift).view({1, 3, 1, 1}).to(where);
  return teacher;
}

at::Tensor Teacher::Logits(const at::Tensor& images) {
  torch::NoGradGuard no_grad;
  at::Tensor seen = images * scale_ + shift_;
  if (seen.size(2) != image_size_) {
    seen = at::_upsample_bicubic2d_aa(seen, {image_size_, image_size_}, /*align_corners=*/false);
  }
  AutocastGuard autocast(bfloat16_, images.device().type());
  return model_->forward(seen).to(at::kFloat);
}

}  // namespace vit
