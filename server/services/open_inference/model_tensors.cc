#include "server/services/open_inference/model_tensors.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/model/model_config.h"

namespace vit {
namespace {

constexpr char kPlatform[] = "vitd";

struct Tensor {
  absl::string_view name;
  const char* datatype;
  inference::DataType type;
  std::vector<int64_t> dims;  // of one image
};

std::vector<Tensor> Inputs(const vit::v1::ModelConfig& config) {
  const int64_t side = config.image_size();
  return {{kImageInput, "BYTES", inference::TYPE_STRING, {1}},
          {kTensorInput, "FP32", inference::TYPE_FP32, {3, side, side}}};
}

std::vector<Tensor> Outputs(const vit::v1::ModelConfig& config) {
  std::vector<Tensor> outputs;
  if (config.num_classes() > 0) {
    outputs.push_back({kScoresOutput, "FP32", inference::TYPE_FP32, {config.num_classes()}});
    outputs.push_back({kLabelsOutput, "BYTES", inference::TYPE_STRING, {}});
  }
  outputs.push_back({kEmbeddingOutput, "FP32", inference::TYPE_FP32, {PooledFeatures(config)}});
  return outputs;
}

void Describe(const Tensor& tensor, inference::ModelMetadataResponse::TensorMetadata* metadata) {
  metadata->set_name(std::string(tensor.name));
  metadata->set_datatype(tensor.datatype);
  metadata->add_shape(-1);  // images
  for (const int64_t dim : tensor.dims) metadata->add_shape(dim);
}

// `tensor`: a ModelInput or a ModelOutput.
template <typename Message>
void Configure(const Tensor& tensor, Message* message) {
  message->set_name(std::string(tensor.name));
  message->set_data_type(tensor.type);
  for (const int64_t dim : tensor.dims) message->add_dims(dim);
}

}  // namespace

absl::StatusOr<ModelRef> ParseModel(const std::string& name, const std::string& version) {
  if (name.empty()) {
    return absl::InvalidArgumentError(
        "the request names no model; expected a name of the repository, run:ID or latest");
  }
  absl::StatusOr<ModelRef> ref = ModelRef::Parse(name);
  if (!ref.ok() || version.empty()) return ref;
  int64_t number = 0;
  if (!absl::SimpleAtoi(version, &number) || number < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("version '", version, "' of model '", name,
                     "': expected a number, or nothing for the version that is served"));
  }
  if (ref->kind == ModelRef::Kind::kLatest) {
    return absl::InvalidArgumentError(absl::StrCat(
        "version '", version, "' of model 'latest': ask for one as run:ID, or leave it empty"));
  }
  if (ref->number != ModelRef::kServed && ref->number != number) {
    return absl::InvalidArgumentError(
        absl::StrCat("model '", name, "' has another version in its name than '", version, "'"));
  }
  // Checks the number as well.
  return ModelRef::Parse(absl::StrCat(ModelName(*ref), "@", number));
}

std::string ModelName(ModelRef ref) {
  ref.number = ModelRef::kServed;
  return ref.ToString();
}

std::string ModelVersionName(const ModelRef& ref) { return absl::StrCat(ref.number); }

inference::ModelMetadataResponse DescribeModel(const FrozenModel& model,
                                               const std::vector<std::string>& versions) {
  inference::ModelMetadataResponse metadata;
  metadata.set_name(ModelName(model.source().ref));
  for (const std::string& version : versions) metadata.add_versions(version);
  metadata.set_platform(kPlatform);
  for (const Tensor& input : Inputs(model.config())) Describe(input, metadata.add_inputs());
  for (const Tensor& output : Outputs(model.config())) Describe(output, metadata.add_outputs());
  return metadata;
}

inference::ModelConfig ConfigureModel(const FrozenModel& model, const BatchLimits& limits) {
  inference::ModelConfig config;
  config.set_name(ModelName(model.source().ref));
  config.set_platform(kPlatform);
  config.set_backend(kPlatform);
  config.set_max_batch_size(limits.max_images_per_request);
  for (const Tensor& tensor : Inputs(model.config())) {
    inference::ModelInput* input = config.add_input();
    Configure(tensor, input);
    input->set_optional(true);
    if (tensor.name == kTensorInput) input->set_format(inference::ModelInput::FORMAT_NCHW);
  }
  for (const Tensor& output : Outputs(model.config())) Configure(output, config.add_output());
  inference::ModelDynamicBatching* batching = config.mutable_dynamic_batching();
  batching->add_preferred_batch_size(
      std::min(limits.max_batch_size, limits.max_images_per_request));
  batching->set_max_queue_delay_microseconds(absl::ToInt64Microseconds(limits.max_queue_delay));
  batching->set_priority_levels(kPriorityLevels);
  batching->set_default_priority_level(2);
  return config;
}

}  // namespace vit
