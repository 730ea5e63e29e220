// Inference by the Open Inference Protocol, against a whole daemon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/services/open_inference/infer_options.h"
#include "tests/server/open_inference_testing.h"

namespace vit {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

std::string File(int seed = 0) { return Encode(SmoothImage(40, 30, seed), ".png"); }

// Values as they are in memory.
template <typename T>
std::string Raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// [count, 3, S, S], different for each image.
std::vector<uint8_t> Pixels(int count) {
  std::vector<uint8_t> pixels(count * kImageValues);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * 7 + i / 768 * 50);
  return pixels;
}

// Rounds a number that is normal in half precision.
uint16_t ToHalf(float value) {
  int exponent = 0;
  const float fraction = std::frexp(std::fabs(value), &exponent);  // [0.5, 1)
  const auto mantissa = static_cast<uint32_t>(std::lround((2 * fraction - 1) * 1024));
  return static_cast<uint16_t>((value < 0 ? 0x8000 : 0) + ((exponent + 14) << 10) + mantissa);
}

void AskFor(const std::string& output, inference::ModelInferRequest* request) {
  request->add_outputs()->set_name(output);
}

class InferTest : public OpenInferenceTest {
 protected:
  vit::v1::ClassifyResponse Classify(const std::vector<std::string>& files) {
    vit::v1::ClassifyResponse response;
    const grpc::Status status = client().Classify(files, "shapes", &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  // What the model's makers would feed it for `pixels`.
  std::vector<float> Normalized(const std::vector<uint8_t>& pixels) {
    vit::v1::ListModelsRequest request;
    request.set_model("shapes");
    vit::v1::ListModelsResponse response;
    EXPECT_TRUE(client().models().ListModels(NewContext().get(), request, &response).ok());
    const vit::v1::DataConfig& config = response.models(0).preprocessing();
    std::vector<float> values;
    for (size_t i = 0; i < pixels.size(); ++i) {
      const int channel = static_cast<int>(i / (kSide * kSide) % 3);
      values.push_back(
          static_cast<float>((pixels[i] / 255.0 - config.mean(channel)) / config.std(channel)));
    }
    return values;
  }
};

TEST_F(InferTest, FilesAreAnsweredAsClassifyDoes) {
  const std::vector<std::string> files = {File(0), File(1), File(2)};
  const vit::v1::ClassifyResponse classified = Classify(files);
  for (const inference::ModelInferRequest& request :
       {FilesRequest(files), RawFilesRequest(files)}) {
    const inference::ModelInferResponse response = Answer(request);
    EXPECT_EQ(response.model_name(), "shapes");
    EXPECT_EQ(response.model_version(), "1");
    ASSERT_EQ(response.outputs_size(), 2) << response.ShortDebugString();
    EXPECT_EQ(response.outputs(0).name(), "SCORES");
    EXPECT_EQ(response.outputs(0).datatype(), "FP32");
    const auto classes = static_cast<int>(response.outputs(0).shape(1));
    EXPECT_THAT(response.outputs(0).shape(), ElementsAre(3, classes));
    EXPECT_THAT(response.outputs(1).shape(), ElementsAre(3));
    const std::vector<float> scores = Floats(response, "SCORES");
    const std::vector<std::string> labels = Texts(response, "LABELS");
    ASSERT_EQ(scores.size(), 3u * classes);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(labels[i], classified.results(i).classes(0).label());
      for (const vit::v1::ClassScore& score : classified.results(i).classes()) {
        EXPECT_EQ(scores[i * classes + score.index()], score.probability());
      }
    }
  }
}

TEST_F(InferTest, AColumnOfFilesIsAlsoABatch) {
  inference::ModelInferRequest request = FilesRequest({File(0), File(1)});
  request.mutable_inputs(0)->add_shape(1);
  EXPECT_EQ(Texts(Answer(request), "LABELS").size(), 2u);
}

TEST_F(InferTest, PixelsAndNormalizedValuesAreTheSameImage) {
  const std::vector<uint8_t> pixels = Pixels(2);
  const std::vector<float> values = Normalized(pixels);
  const std::vector<float> expected =
      Floats(Answer(TensorRequest("UINT8", 2, Raw(pixels))), "SCORES");
  ASSERT_GT(std::fabs(expected[0] - expected[expected.size() / 2]), 1e-4f) << "images differ";
  inference::ModelInferRequest typed_pixels = TensorRequest("UINT8", 2, "");
  typed_pixels.clear_raw_input_contents();
  for (const uint8_t value : pixels) {
    typed_pixels.mutable_inputs(0)->mutable_contents()->add_uint_contents(value);
  }
  EXPECT_EQ(Floats(Answer(typed_pixels), "SCORES"), expected);
  inference::ModelInferRequest typed_values = TensorRequest("FP32", 2, "");
  typed_values.clear_raw_input_contents();
  for (const float value : values) {
    typed_values.mutable_inputs(0)->mutable_contents()->add_fp32_contents(value);
  }
  for (const auto& request : {TensorRequest("FP32", 2, Raw(values)), typed_values}) {
    EXPECT_THAT(Floats(Answer(request), "SCORES"), Pointwise(FloatNear(1e-5f), expected));
  }
  std::vector<uint16_t> halves;
  for (const float value : values) halves.push_back(ToHalf(value));
  EXPECT_THAT(Floats(Answer(TensorRequest("FP16", 2, Raw(halves))), "SCORES"),
              Pointwise(FloatNear(1e-3f), expected));
}

TEST_F(InferTest, SmallHalfPrecisionNumbersKeepTheirValue) {
  std::vector<uint16_t> halves(kImageValues, 0x8001);  // -2^-24, subnormal
  halves[0] = 0x3c00;                                  // 1
  std::vector<float> values(kImageValues, -0x1p-24f);
  values[0] = 1;
  EXPECT_EQ(Floats(Answer(TensorRequest("FP16", 1, Raw(halves))), "SCORES"),
            Floats(Answer(TensorRequest("FP32", 1, Raw(values))), "SCORES"));
}

TEST_F(InferTest, ScoresAndEmbeddingComeTogetherInTheOrderAskedFor) {
  inference::ModelInferRequest request = FilesRequest({File(0), File(1)});
  AskFor("EMBEDDING", &request);
  AskFor("SCORES", &request);
  request.set_id("both");
  const inference::ModelInferResponse response = Answer(request);
  EXPECT_EQ(response.id(), "both");
  ASSERT_EQ(response.outputs_size(), 2);
  EXPECT_EQ(response.outputs(0).name(), "EMBEDDING");
  EXPECT_THAT(response.outputs(0).shape(), ElementsAre(2, 16));
  vit::v1::EmbedRequest embed;
  embed.add_images(File(0));
  embed.add_images(File(1));
  embed.set_model("shapes");
  vit::v1::EmbedResponse embedded;
  ASSERT_TRUE(client().inference().Embed(NewContext().get(), embed, &embedded).ok());
  std::vector<float> expected;
  for (const vit::v1::Embedding& result : embedded.results()) {
    expected.insert(expected.end(), result.values().begin(), result.values().end());
  }
  EXPECT_EQ(Floats(response, "EMBEDDING"), expected);
  EXPECT_EQ(Floats(response, "SCORES"), Floats(Answer(FilesRequest({File(0), File(1)})), "SCORES"));
}

TEST_F(InferTest, ClassificationWritesTheBestClassesAsText) {
  inference::ModelInferRequest request = FilesRequest({File(0), File(1)});
  AskFor("SCORES", &request);
  auto& count = (*request.mutable_outputs(0)->mutable_parameters())["classification"];
  count.set_int64_param(2);
  const inference::ModelInferResponse response = Answer(request);
  EXPECT_EQ(response.outputs(0).datatype(), "BYTES");
  EXPECT_THAT(response.outputs(0).shape(), ElementsAre(2, 2));
  const vit::v1::ClassifyResponse classified = Classify({File(0), File(1)});
  const std::vector<std::string> texts = Texts(response, "SCORES");
  ASSERT_EQ(texts.size(), 4u);
  for (int i = 0; i < 4; ++i) {
    const vit::v1::ClassScore& expected = classified.results(i / 2).classes(i % 2);
    const std::vector<std::string> parts = absl::StrSplit(texts[i], ':');
    ASSERT_EQ(parts.size(), 3u) << texts[i];
    EXPECT_NEAR(std::stod(parts[0]), expected.probability(), 1e-6);
    EXPECT_EQ(parts[1], absl::StrCat(expected.index()));
    EXPECT_EQ(parts[2], expected.label());
  }
  count.set_int64_param(1'000'000);
  const auto classes = Answer(FilesRequest({File()})).outputs(0).shape(1);
  EXPECT_EQ(Answer(request).outputs(0).shape(1), classes) << "all there are";
}

TEST_F(InferTest, ModelsAreNamedAsInVitctlOrWithTheirVersion) {
  const std::vector<float> expected = Floats(Answer(FilesRequest({File()})), "SCORES");
  const std::string id = "run:" + run();
  for (const auto& [name, version, answered, its_version] :
       std::vector<std::tuple<std::string, std::string, std::string, std::string>>{
           {"shapes", "1", "shapes", "1"},
           {"shapes@1", "", "shapes", "1"},
           {id, "", id, ""},
           {"run:first", "", id, ""},
           {"latest", "", id, ""}}) {
    inference::ModelInferRequest request = FilesRequest({File()});
    request.set_model_name(name);
    request.set_model_version(version);
    const inference::ModelInferResponse response = Answer(request);
    EXPECT_EQ(response.model_name(), answered) << name;
    if (!its_version.empty()) {
      EXPECT_EQ(response.model_version(), its_version);
    }
    EXPECT_FALSE(response.model_version().empty());
    EXPECT_EQ(Floats(response, "SCORES"), expected) << name;
  }
  inference::ModelInferRequest request = FilesRequest({File()});
  request.set_model_version("2");
  EXPECT_THAT(Refusal(request, grpc::StatusCode::NOT_FOUND), HasSubstr("shapes"));
  request.set_model_name("shapez");
  EXPECT_THAT(Refusal(request, grpc::StatusCode::NOT_FOUND), HasSubstr("shapez"));
}

TEST_F(InferTest, TimeoutInMicrosecondsIsADeadline) {
  inference::ModelInferRequest request = FilesRequest({File()});
  auto& timeout = (*request.mutable_parameters())["timeout"];
  timeout.set_int64_param(1);
  Refusal(request, grpc::StatusCode::DEADLINE_EXCEEDED);
  timeout.set_uint64_param(std::numeric_limits<uint64_t>::max());
  Answer(request);
}

TEST(InferOptionsTest, PrioritiesCountFromTheMostUrgent) {
  inference::ModelInferRequest request;
  const auto priority = [&] { return ReadParameters(request)->priority; };
  EXPECT_EQ(priority(), vit::v1::PRIORITY_UNSPECIFIED);
  auto& parameter = (*request.mutable_parameters())["priority"];
  const std::vector<vit::v1::Priority> expected = {vit::v1::PRIORITY_UNSPECIFIED,
                                                   vit::v1::PRIORITY_HIGH, vit::v1::PRIORITY_NORMAL,
                                                   vit::v1::PRIORITY_LOW, vit::v1::PRIORITY_LOW};
  for (size_t i = 0; i < expected.size(); ++i) {
    parameter.set_uint64_param(i);
    EXPECT_EQ(priority(), expected[i]);
    parameter.set_int64_param(static_cast<int64_t>(i));
    EXPECT_EQ(priority(), expected[i]);
  }
}

TEST(InferOptionsTest, AnEncoderHasItsEmbeddingAlone) {
  inference::ModelInferRequest request;
  const auto outputs = ReadOutputs(request, /*num_classes=*/0);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  ASSERT_EQ(outputs->size(), 1u);
  EXPECT_EQ(outputs->front().kind, RequestedOutput::Kind::kEmbedding);
  for (const char* output : {"SCORES", "LABELS"}) {
    request.clear_outputs();
    AskFor(output, &request);
    const absl::Status status = ReadOutputs(request, /*num_classes=*/0).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("without a head")) << output;
  }
}

}  // namespace
}  // namespace vit
