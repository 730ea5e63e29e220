#include "core/infer/frozen_model.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/checksums.h"
#include "core/base/compute/compute_threads.h"
#include "core/base/compute/torch_device.h"
#include "core/base/status.h"
#include "core/data/data_config.h"
#include "core/data/image/transform.h"
#include "core/infer/attention_rollout.h"
#include "core/model/autocast.h"
#include "core/model/frozen/frozen_transformer.h"
#include "core/model/frozen/image_batch.h"
#include "core/model/model_config.h"
#include "core/model/normalize.h"
#include "core/model/vision_transformer.h"
#include "core/weights/load_model.h"
#include "core/weights/model_directory.h"

namespace vit {

class FrozenModel::Impl {
 public:
  Impl(LoadedModel loaded, const Device& device, std::optional<c10::Stream> stream)
      : description_(std::move(loaded.description)),
        device_(device),
        torch_device_(TorchDevice(device)),
        stream_(stream),
        bfloat16_(description_.precision == vit::v1::PRECISION_BFLOAT16 && device.has_bfloat16()),
        normalize_(description_.preprocessing, torch_device_),
        config_(description_.model),
        model_(std::move(loaded.model)) {
    config_.set_image_size(EvalImageSize(description_.preprocessing, config_.image_size()));
    frozen_ = FrozenTransformer::Create(
        *model_, description_.preprocessing,
        {.image_size = config_.image_size(), .bfloat16 = bfloat16_, .stream = stream_});
  }

  std::vector<Computed> Compute(const Work& work, absl::Span<const PreparedImage* const> prepared,
                                ComputeTeam* team) const {
    return work.kind == Work::Kind::kExplain ? ExplainInParts(work.block, prepared, team)
                                             : ComputeFrozen(work.kind, prepared, team);
  }

  void Record(int count, Work::Kind kind) const { frozen_->Record(count, OutputOf(kind)); }

  absl::StatusOr<PreparedImage> Prepare(const ImageInput& image,
                                        const PrepareOptions& options) const {
    PreparedImage prepared;
    const auto check_size = [&](size_t value_bytes) {
      const size_t expected = ImageValues() * value_bytes;
      return image.data.size() == expected
                 ? absl::OkStatus()
                 : absl::InvalidArgumentError(absl::StrCat("an image has ", image.data.size(),
                                                           " bytes; [3, ", image_size(), ", ",
                                                           image_size(), "] has ", expected));
    };
    switch (image.form) {
      case ImageInput::Form::kEncoded: {
        const vit::v1::DataConfig& preprocessing = description_.preprocessing;
        VIT_ASSIGN_OR_RETURN(
            const Image decoded,
            DecodeImage(
                image.data,
                {.limits = options.limits, .apply_orientation = preprocessing.apply_orientation()},
                options.reduced_jpeg_decoding ? ReducedShortSide() : kFullSize));
        prepared.bytes.resize(ImageValues());
        EvalTransformImage(decoded, static_cast<int>(image_size()), preprocessing.eval(),
                           preprocessing.interpolation(), absl::MakeSpan(prepared.bytes));
        break;
      }
      case ImageInput::Form::kPixels:
        VIT_RETURN_IF_ERROR(check_size(1));
        prepared.bytes.assign(image.data.begin(), image.data.end());
        break;
      case ImageInput::Form::kNormalized: {
        VIT_RETURN_IF_ERROR(check_size(sizeof(float)));
        prepared.values.resize(ImageValues());
        memcpy(prepared.values.data(), image.data.data(), image.data.size());
        const size_t plane = ImageValues() / 3;
        for (size_t i = 0; i < ImageValues(); ++i) {
          const int channel = static_cast<int>(i / plane);
          float& value = prepared.values[i];
          value = static_cast<float>(255 * (value * description_.preprocessing.std(channel) +
                                            description_.preprocessing.mean(channel)));
        }
        break;
      }
    }
    return prepared;
  }

  int64_t image_size() const { return config_.image_size(); }
  size_t ImageValues() const { return size_t{3} * image_size() * image_size(); }
  const vit::v1::ModelConfig& config() const { return config_; }
  const ModelDescription& description() const { return description_; }

 private:
  static constexpr int64_t kMostBatchBytes = int64_t{1} << 30;
  static constexpr int kFullSize = 0;  // as evaluation decodes

  int ReducedShortSide() const {
    // So much more than is left of them that the pixels hardly differ (docs/running-vitd.md).
    constexpr int64_t kDetail = 2;
    return static_cast<int>(kDetail * EvalResizeSide(static_cast<int>(image_size()),
                                                     description_.preprocessing.eval()));
  }

  static FrozenTransformer::Output OutputOf(Work::Kind kind) {
    using Output = FrozenTransformer::Output;
    switch (kind) {
      case Work::Kind::kClassify:
        return Output::kLogits;
      case Work::Kind::kClassifyAndEmbed:
        return Output::kLogitsAndFeatures;
      case Work::Kind::kEmbedTokens:
        return Output::kTokens;
      default:
        return Output::kFeatures;
    }
  }

  static std::vector<FrozenTransformer::Image> Images(
      absl::Span<const PreparedImage* const> prepared) {
    std::vector<FrozenTransformer::Image> images;
    images.reserve(prepared.size());
    for (const PreparedImage* image : prepared) {
      images.push_back({.bytes = image->bytes.empty() ? nullptr : image->bytes.data(),
                        .values = image->values.empty() ? nullptr : image->values.data()});
    }
    return images;
  }

  std::vector<Computed> ComputeFrozen(Work::Kind kind,
                                      absl::Span<const PreparedImage* const> prepared,
                                      ComputeTeam* team) const {
    const FrozenTransformer::Output output = OutputOf(kind);
    const int64_t size = frozen_->OutputSize(output);
    const bool classifies = kind == Work::Kind::kClassify || kind == Work::Kind::kClassifyAndEmbed;
    const int64_t classes = classifies ? config_.num_classes() : 0;
    std::vector<float> values(prepared.size() * size);
    frozen_->Compute(Images(prepared), output, team, values.data());
    std::vector<Computed> computed(prepared.size());
    for (size_t i = 0; i < computed.size(); ++i) {
      const absl::Span<float> row = absl::MakeSpan(values).subspan(i * size, size);
      const absl::Span<float> scores = row.first(classes), features = row.subspan(classes);
      if (classifies) Softmax(scores);
      computed[i].probabilities.assign(scores.begin(), scores.end());
      computed[i].features.assign(features.begin(), features.end());
    }
    return computed;
  }

  // Turns logits into probabilities.
  static void Softmax(absl::Span<float> values) {
    const float top = *std::max_element(values.begin(), values.end());
    double sum = 0;
    for (float& value : values) sum += value = std::exp(value - top);
    for (float& value : values) value = static_cast<float>(value / sum);
  }

  // Computes as many images at once as fit into a moderate part of the device's memory, so that no
  // call can take that memory from a training run.
  std::vector<Computed> ExplainInParts(int block, absl::Span<const PreparedImage* const> prepared,
                                       ComputeTeam* team) const {
    if (torch_device_.is_cpu()) SetComputeThreads(team->size());
    const int64_t tokens = TokenCount(config_);
    const int64_t image_bytes = ForwardBytes(config_) + int64_t{sizeof(float)} *
                                                            (config_.depth() + 2) *
                                                            config_.num_heads() * tokens * tokens;
    const auto most = static_cast<size_t>(std::max<int64_t>(1, kMostBatchBytes / image_bytes));
    std::vector<Computed> computed;
    for (size_t begin = 0; begin < prepared.size(); begin += most) {
      std::vector<Computed> some = Explain(block, prepared.subspan(begin, most));
      computed.insert(computed.end(), std::make_move_iterator(some.begin()),
                      std::make_move_iterator(some.end()));
    }
    return computed;
  }

  std::vector<Computed> Explain(int block, absl::Span<const PreparedImage* const> prepared) const {
    const UseStream use(stream_);
    c10::InferenceMode inference;
    AutocastGuard autocast(bfloat16_, torch_device_.type());
    // The module's forward is not const, but changes nothing in evaluation mode.
    auto& model = const_cast<VisionTransformerImpl&>(*model_);
    const at::Tensor input = normalize_(HostBatch(Images(prepared), image_size(), torch_device_));
    std::vector<at::Tensor> attention;
    const at::Tensor tokens = model.ForwardFeatures(input, &attention);
    std::vector<Computed> computed(prepared.size());
    Fill(model.ForwardHead(tokens).to(at::kFloat).softmax(1), &Computed::probabilities, &computed);
    const at::Tensor shown = block < 0 ? AttentionRollout(attention) : attention[block].mean(1);
    Fill(PatchRelevance(shown, description_.model), &Computed::relevance, &computed);
    if (block >= 0) Fill(attention[block], &Computed::attention, &computed);
    return computed;
  }

  // Copies row i of `values`, flattened, to `field` of the i-th result.
  static void Fill(const at::Tensor& values, std::vector<float> Computed::*field,
                   std::vector<Computed>* computed) {
    const at::Tensor rows = values.to(at::kFloat).cpu().flatten(1).contiguous();
    const float* const data = rows.const_data_ptr<float>();
    for (size_t i = 0; i < computed->size(); ++i) {
      ((*computed)[i].*field).assign(data + i * rows.size(1), data + (i + 1) * rows.size(1));
    }
  }

  const ModelDescription description_;
  const Device device_;
  const c10::Device torch_device_;
  // All serving is computed there, so that it does not wait behind training.
  const std::optional<c10::Stream> stream_;
  const bool bfloat16_;
  const Normalizer normalize_;
  vit::v1::ModelConfig config_;  // FrozenModel::config
  VisionTransformer model_;
  std::unique_ptr<const FrozenTransformer> frozen_;
};

FrozenModel::FrozenModel(ServableModel source, std::unique_ptr<Impl> impl)
    : source_(std::move(source)), impl_(std::move(impl)) {}

FrozenModel::~FrozenModel() = default;

absl::StatusOr<std::shared_ptr<const FrozenModel>> FrozenModel::Load(const ServableModel& source,
                                                                     const Device& device) {
  const std::string what = absl::StrCat("load ", source.name, " version ", source.version());
  return CatchExceptions(what, [&]() -> absl::StatusOr<std::shared_ptr<const FrozenModel>> {
    VIT_RETURN_IF_ERROR(VerifyChecksums(source.directory, ModelFiles()));
    const std::optional<c10::Stream> stream = ServingStream(TorchDevice(device));
    const UseStream use(stream);
    VIT_ASSIGN_OR_RETURN(LoadedModel loaded, LoadModel(source.directory, TorchDevice(device)));
    auto impl = std::make_unique<Impl>(std::move(loaded), device, stream);
    return std::shared_ptr<const FrozenModel>(new FrozenModel(source, std::move(impl)));
  });
}

absl::Status FrozenModel::WarmUp(int count, ComputeTeam* team) const {
  const Work work{.kind = config().num_classes() == 0 ? Work::Kind::kEmbed : Work::Kind::kClassify};
  const PreparedImage black = {.bytes = std::vector<uint8_t>(impl_->ImageValues()), .values = {}};
  const absl::Status computed =
      Compute(work, std::vector<const PreparedImage*>(count, &black), team).status();
  if (!computed.ok()) return computed;
  return CatchExceptions("record", [&] {
    impl_->Record(count, work.kind);
    return absl::OkStatus();
  });
}

absl::StatusOr<PreparedImage> FrozenModel::Prepare(const ImageInput& image,
                                                   const PrepareOptions& options) const {
  return impl_->Prepare(image, options);
}

absl::StatusOr<std::vector<Computed>> FrozenModel::Compute(
    const Work& work, absl::Span<const PreparedImage* const> prepared, ComputeTeam* team) const {
  if (work.block >= config().depth()) {
    return absl::InvalidArgumentError(absl::StrCat("block is ", work.block, "; ", name(), " has ",
                                                   config().depth(), " blocks, counted from 0"));
  }
  return CatchExceptions("compute", [&]() -> absl::StatusOr<std::vector<Computed>> {
    return impl_->Compute(work, prepared, team);
  });
}

const vit::v1::ModelConfig& FrozenModel::config() const { return impl_->config(); }

const std::vector<std::string>& FrozenModel::labels() const { return impl_->description().labels; }

}  // namespace vit
