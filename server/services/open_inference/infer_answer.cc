#include "server/services/open_inference/infer_answer.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "core/infer/inference_messages.h"
#include "server/services/open_inference/model_tensors.h"

namespace vit {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the protocol's values are little-endian");

// An output tensor that is being written.
class Writer {
 public:
  Writer(absl::string_view name, const char* datatype, inference::ModelInferResponse* response)
      : tensor_(response->add_outputs()), raw_(response->add_raw_output_contents()) {
    tensor_->set_name(std::string(name));
    tensor_->set_datatype(datatype);
  }
  void AddDim(size_t size) { tensor_->add_shape(static_cast<int64_t>(size)); }
  void Add(const std::vector<float>& values) {
    raw_->append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  }
  void Add(absl::string_view text) {
    const auto length = static_cast<uint32_t>(text.size());
    raw_->append(reinterpret_cast<const char*>(&length), sizeof(length));
    raw_->append(text.data(), text.size());
  }

 private:
  inference::ModelInferResponse::InferOutputTensor* const tensor_;
  std::string* const raw_;
};

// `values`: Computed's member with each image's.
void WriteFloats(absl::string_view name, const std::vector<Computed>& images,
                 std::vector<float> Computed::*values, inference::ModelInferResponse* response) {
  Writer writer(name, "FP32", response);
  writer.AddDim(images.size());
  writer.AddDim((images.front().*values).size());
  for (const Computed& image : images) writer.Add(image.*values);
}

void WriteLabels(const std::vector<Computed>& images, const std::vector<std::string>& labels,
                 inference::ModelInferResponse* response) {
  Writer writer(kLabelsOutput, "BYTES", response);
  writer.AddDim(images.size());
  for (const Computed& image : images) {
    writer.Add(labels[BestClasses(image.probabilities, 1).front()]);
  }
}

// "0.912345:2:cat", as Triton writes a classification.
void WriteBestClasses(const std::vector<Computed>& images, const std::vector<std::string>& labels,
                      int count, inference::ModelInferResponse* response) {
  Writer writer(kScoresOutput, "BYTES", response);
  writer.AddDim(images.size());
  writer.AddDim(count);
  for (const Computed& image : images) {
    for (const int index : BestClasses(image.probabilities, count)) {
      writer.Add(absl::StrFormat("%f:%d:%s", image.probabilities[index], index, labels[index]));
    }
  }
}

}  // namespace

void WriteOutputs(const std::vector<RequestedOutput>& outputs, const std::vector<Computed>& images,
                  const std::vector<std::string>& labels, inference::ModelInferResponse* response) {
  for (const RequestedOutput& output : outputs) {
    switch (output.kind) {
      case RequestedOutput::Kind::kLabels:
        WriteLabels(images, labels, response);
        break;
      case RequestedOutput::Kind::kEmbedding:
        WriteFloats(kEmbeddingOutput, images, &Computed::features, response);
        break;
      case RequestedOutput::Kind::kScores:
        if (output.classes > 0) {
          WriteBestClasses(images, labels, output.classes, response);
        } else {
          WriteFloats(kScoresOutput, images, &Computed::probabilities, response);
        }
        break;
    }
  }
}

}  // namespace vit
