#include "core/infer/frozen_model.h"

#include <torch/torch.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/torch_device.h"
#include "core/data/data_config.h"
#include "core/data/transform.h"
#include "core/infer/attention_rollout.h"
#include "core/model/autocast.h"
#include "core/model/model_config.h"
#include "core/model/normalize.h"
#include "core/model/vision_transformer.h"
#include "core/weights/checksums.h"
#include "core/weights/load_weights.h"
#include "core/weights/model_directory.h"
#include "core/weights/safetensors.h"

namespace vit {

class FrozenModel::Impl {
 public:
  Impl(ModelDescription description, const Device& device)
      : description_(std::move(description)),
        device_(TorchDevice(device)),
        normalize_(description_.preprocessing, device_),
        config_(description_.model),
        model_(description_.model) {
    config_.set_image_size(EvalImageSize(description_.preprocessing, config_.image_size()));
  }

  absl::Status LoadFrom(const std::filesystem::path& directory) {
    VIT_ASSIGN_OR_RETURN(const TensorFile weights,
                         ReadSafetensors(directory / "model.safetensors"));
    VIT_RETURN_IF_ERROR(Annotate(LoadWeights(weights.tensors, *model_), directory.string()));
    model_->to(device_);
    model_->eval();
    for (at::Tensor& parameter : model_->parameters()) parameter.set_requires_grad(false);
    return absl::OkStatus();
  }

  // `images`: [count, 3, S, S] bytes.
  std::vector<Computed> Compute(const Work& work, const std::vector<uint8_t>& images,
                                int64_t count) const {
    c10::InferenceMode inference;
    AutocastGuard autocast(description_.precision == vit::v1::PRECISION_BFLOAT16, device_.type());
    // The module's forward is not const, but in evaluation mode changes nothing.
    auto& model = const_cast<VisionTransformerImpl&>(*model_);
    const at::Tensor input = normalize_(images.data(), count, image_size());
    std::vector<Computed> computed(count);
    switch (work.kind) {
      case Work::Kind::kClassify:
        Fill(model.forward(input).to(at::kFloat).softmax(1), &Computed::probabilities, &computed);
        break;
      case Work::Kind::kEmbed:
        Fill(model.Pool(model.ForwardFeatures(input)), &Computed::features, &computed);
        break;
      case Work::Kind::kEmbedTokens:
        Fill(model.ForwardFeatures(input), &Computed::features, &computed);
        break;
      case Work::Kind::kExplain: {
        std::vector<at::Tensor> attention;
        const at::Tensor tokens = model.ForwardFeatures(input, &attention);
        Fill(model.ForwardHead(tokens).to(at::kFloat).softmax(1), &Computed::probabilities,
             &computed);
        const at::Tensor shown =
            work.block < 0 ? AttentionRollout(attention) : attention[work.block].mean(1);
        Fill(PatchRelevance(shown, description_.model), &Computed::relevance, &computed);
        if (work.block >= 0) Fill(attention[work.block], &Computed::attention, &computed);
        break;
      }
    }
    return computed;
  }

  int64_t image_size() const { return config_.image_size(); }
  const vit::v1::ModelConfig& config() const { return config_; }
  const ModelDescription& description() const { return description_; }

 private:
  // Row i of `values`, flattened, becomes `field` of the i-th.
  static void Fill(const at::Tensor& values, std::vector<float> Computed::*field,
                   std::vector<Computed>* computed) {
    const at::Tensor rows = values.to(at::kFloat).cpu().flatten(1).contiguous();
    const float* const data = rows.const_data_ptr<float>();
    for (size_t i = 0; i < computed->size(); ++i) {
      ((*computed)[i].*field).assign(data + i * rows.size(1), data + (i + 1) * rows.size(1));
    }
  }

  const ModelDescription description_;
  const c10::Device device_;
  const Normalizer normalize_;
  vit::v1::ModelConfig config_;  // FrozenModel::config
  VisionTransformer model_;
};

FrozenModel::FrozenModel(ServableModel source, std::unique_ptr<Impl> impl)
    : source_(std::move(source)), impl_(std::move(impl)) {}

FrozenModel::~FrozenModel() = default;

absl::StatusOr<std::shared_ptr<const FrozenModel>> FrozenModel::Load(const ServableModel& source,
                                                                     const Device& device) {
  const std::string what = absl::StrCat("load ", source.name, " version ", source.version);
  return CatchExceptions(what, [&]() -> absl::StatusOr<std::shared_ptr<const FrozenModel>> {
    VIT_RETURN_IF_ERROR(
        VerifyChecksums(source.directory, {"config.json", "labels.txt", "model.safetensors"}));
    VIT_ASSIGN_OR_RETURN(ModelDescription description, ReadModelDescription(source.directory));
    if (absl::Status status = ValidateModelConfig(description.model); !status.ok()) {
      return absl::DataLossError(
          absl::StrCat((source.directory / "config.json").string(), ": ", status.message()));
    }
    auto impl = std::make_unique<Impl>(std::move(description), device);
    VIT_RETURN_IF_ERROR(impl->LoadFrom(source.directory));
    // The first pass through a model is the slowest; it happens here rather than in somebody's
    // call.
    const Work first{.kind = impl->config().num_classes() == 0 ? Work::Kind::kEmbed
                                                               : Work::Kind::kClassify};
    impl->Compute(first, std::vector<uint8_t>(3 * impl->image_size() * impl->image_size()), 1);
    return std::shared_ptr<const FrozenModel>(new FrozenModel(source, std::move(impl)));
  });
}

absl::StatusOr<std::vector<uint8_t>> FrozenModel::Prepare(absl::string_view bytes,
                                                          const ImageLimits& limits) const {
  const vit::v1::DataConfig& preprocessing = impl_->description().preprocessing;
  // In full size, as evaluation decodes.
  VIT_ASSIGN_OR_RETURN(
      const Image image,
      DecodeImage(bytes,
                  {.limits = limits, .apply_orientation = preprocessing.apply_orientation()}));
  const int size = static_cast<int>(impl_->image_size());
  std::vector<uint8_t> out(size_t{3} * size * size);
  EvalTransformImage(image, size, preprocessing.eval(), preprocessing.interpolation(),
                     absl::MakeSpan(out));
  return out;
}

absl::StatusOr<std::vector<Computed>> FrozenModel::Compute(
    const Work& work, absl::Span<const std::vector<uint8_t>* const> prepared) const {
  if (work.block >= config().depth()) {
    return absl::InvalidArgumentError(
        absl::StrCat("block is ", work.block, "; ", name(), " has ", config().depth(), ", from 0"));
  }
  return CatchExceptions("compute", [&]() -> absl::StatusOr<std::vector<Computed>> {
    std::vector<uint8_t> images;
    images.reserve(prepared.size() * prepared.front()->size());
    for (const std::vector<uint8_t>* image : prepared)
      images.insert(images.end(), image->begin(), image->end());
    return impl_->Compute(work, images, static_cast<int64_t>(prepared.size()));
  });
}

const vit::v1::ModelConfig& FrozenModel::config() const { return impl_->config(); }

const std::vector<std::string>& FrozenModel::labels() const { return impl_->description().labels; }

}  // namespace vit
