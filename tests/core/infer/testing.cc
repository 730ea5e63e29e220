#include "tests/core/infer/testing.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "absl/strings/str_cat.h"
#include "core/base/checksums.h"
#include "core/base/compute/named_tensors.h"
#include "core/data/image/transform.h"
#include "core/model/model_config.h"
#include "core/model/normalize.h"
#include "core/model/vision_transformer.h"
#include "core/spec/defaults.h"
#include "core/tensor_file/safetensors.h"
#include "core/weights/model_directory.h"

namespace vit {
namespace {

constexpr int kSize = 16;

ModelDescription Describe() {
  ModelDescription description;
  auto& model = description.model;
  model.set_image_size(kSize);
  model.set_patch_size(4);
  model.set_embed_dim(16);
  model.set_depth(2);
  model.set_num_heads(2);
  FillModelDefaults(static_cast<int>(kLabels.size()), &model);
  for (int i = 0; i < 3; ++i) {
    description.preprocessing.add_mean(0.5);
    description.preprocessing.add_std(0.25);
  }
  description.preprocessing.set_interpolation(vit::v1::INTERPOLATION_BICUBIC);
  description.preprocessing.mutable_eval()->set_crop_pct(0.875);
  description.preprocessing.set_apply_orientation(true);
  description.labels = kLabels;
  return description;
}

VisionTransformer MakeModel(uint64_t seed) {
  VisionTransformer model(Describe().model);
  model->Initialize(seed);
  torch::NoGradGuard no_grad;
  // The small initial head would make all classes nearly equal.
  model->named_parameters()["head.weight"].mul_(100);
  model->eval();
  return model;
}

}  // namespace

void WriteModel(const std::filesystem::path& directory, uint64_t seed) {
  std::filesystem::create_directories(directory);
  ASSERT_TRUE(WriteModelDescription(directory, Describe()).ok());
  VisionTransformer model = MakeModel(seed);
  NamedTensors weights;
  for (const auto& item : model->named_parameters()) weights.emplace_back(item.key(), item.value());
  ASSERT_TRUE(WriteSafetensors(directory / "model.safetensors", weights, {}).ok());
  ASSERT_TRUE(WriteChecksums(directory, {"config.json", "labels.txt", "model.safetensors"}).ok());
}

std::vector<float> ExpectedProbabilities(uint64_t seed, const Image& image) {
  torch::NoGradGuard no_grad;
  std::vector<uint8_t> pixels(3 * kSize * kSize);
  EvalTransformImage(image, kSize, Describe().preprocessing.eval(), vit::v1::INTERPOLATION_BICUBIC,
                     absl::MakeSpan(pixels));
  const Normalizer normalize(Describe().preprocessing, at::kCPU);
  const at::Tensor row =
      MakeModel(seed)
          ->forward(normalize(at::from_blob(pixels.data(), {1, 3, kSize, kSize}, at::kByte)))
          .softmax(1)[0]
          .contiguous();
  return {row.data_ptr<float>(), row.data_ptr<float>() + row.numel()};
}

std::filesystem::path TestCheckpoints::Directory(const std::string& run, int64_t step) const {
  return folder_.path() / run / absl::StrCat(step);
}

void TestCheckpoints::Serve(const std::string& run, int64_t step) {
  WriteModel(Directory(run, step), step);
  MutexLock lock(&mu_);
  serving_[run] = step;
}

absl::StatusOr<ServableModel> TestCheckpoints::Find(const ModelRef& ref) {
  MutexLock lock(&mu_);
  const auto found = serving_.find(ref.name);
  if (!ref.is_run() || found == serving_.end()) {
    return absl::NotFoundError(absl::StrCat("no run ", ref.name));
  }
  return ServableModel{.ref = ModelRef::Run(found->first, found->second),
                       .name = ref.ToString(),
                       .run = found->first,
                       .step = found->second,
                       .directory = Directory(found->first, found->second),
                       .lease = lease_};
}

}  // namespace vit
