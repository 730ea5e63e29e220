#include "core/infer/inference_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <thread>

#include "tests/core/infer/testing.h"

namespace vit {
namespace {

using ::testing::HasSubstr;
using ::vit::v1::ClassifyRequest;
using ::vit::v1::ClassifyResponse;
using Answer = absl::StatusOr<ClassifyResponse>;

class InferenceEngineTest : public ::testing::Test {
 protected:
  void Start(InferenceEngine::Options options = {}) {
    options.prepare.limits = {.max_bytes = 1 << 20, .max_pixels = 10'000};
    auto engine = InferenceEngine::Create(&checkpoints_, options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }
  static ClassifyRequest Request(const std::vector<std::string>& images,
                                 const std::string& model = "run:a") {
    ClassifyRequest request;
    for (const std::string& image : images) request.add_images(image);
    request.set_model(model);
    return request;
  }
  Answer Classify(const ClassifyRequest& request, const CallContext& context = {}) {
    std::promise<Answer> promise;
    engine_->Classify(request, context,
                      [&](Answer answer) { promise.set_value(std::move(answer)); });
    return promise.get_future().get();
  }
  static void ExpectModelsAnswer(const vit::v1::ImageResult& result, uint64_t seed,
                                 const Image& image) {
    const std::vector<float> expected = ExpectedProbabilities(seed, image);
    for (const auto& score : result.classes()) {
      EXPECT_NEAR(score.probability(), expected[score.index()], 1e-5);
      EXPECT_EQ(score.label(), kLabels[score.index()]);
    }
  }
  TestCheckpoints checkpoints_;
  FakeClock clock_;
  std::unique_ptr<InferenceEngine> engine_;
  const Image image_ = SmoothImage(40, 30, 3);
  const std::string png_ = Encode(image_, ".png");
};

TEST_F(InferenceEngineTest, AnswersWithTheModelsOwnProbabilitiesBestFirst) {
  checkpoints_.Serve("a", 7);
  Start();
  const Answer answer = Classify(Request({png_}));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->model().model(), "run:a");
  EXPECT_EQ(answer->model().run(), "a");
  EXPECT_EQ(answer->model().step(), 7);
  ASSERT_EQ(answer->results_size(), 1);
  ASSERT_EQ(answer->results(0).classes_size(), 3);  // top_k 5 of three classes
  ExpectModelsAnswer(answer->results(0), 7, image_);
  EXPECT_GE(answer->results(0).classes(0).probability(),
            answer->results(0).classes(1).probability());
  EXPECT_GE(answer->results(0).classes(1).probability(),
            answer->results(0).classes(2).probability());
}

TEST_F(InferenceEngineTest, DecodesLargeJpegsAtAReducedSizeWhereThatIsAllowed) {
  checkpoints_.Serve("a", 7);
  // The model takes 16 x 16. JPEG codes 8 x 8 blocks.
  const std::string large = Encode(SmoothImage(120, 80), ".jpg");
  const std::string small = Encode(SmoothImage(40, 30), ".jpg");
  std::vector<std::vector<std::string>> answers;
  for (const bool reduced : {false, true}) {
    Start({.prepare = {.limits = {}, .reduced_jpeg_decoding = reduced}});
    const Answer answer = Classify(Request({large, small, png_}));
    ASSERT_TRUE(answer.ok()) << answer.status();
    ExpectModelsAnswer(answer->results(0), 7, *DecodeImage(large, {}, reduced ? 32 : 0));
    answers.emplace_back();
    for (const auto& result : answer->results()) {
      answers.back().push_back(result.SerializeAsString());
    }
  }
  EXPECT_NE(answers[0][0], answers[1][0]);
  EXPECT_EQ(answers[0][1], answers[1][1]);
  EXPECT_EQ(answers[0][2], answers[1][2]);
}

TEST_F(InferenceEngineTest, ManyImagesComeBackInOrder) {
  checkpoints_.Serve("a", 1);
  Start({.max_batch_size = 3});
  std::vector<std::string> images;
  for (int i = 0; i < 10; ++i) images.push_back(Encode(SmoothImage(30 + i, 20, i), ".png"));
  ClassifyRequest request = Request(images);
  request.set_top_k(1);
  const Answer answer = Classify(request);
  ASSERT_TRUE(answer.ok());
  ASSERT_EQ(answer->results_size(), 10);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(answer->results(i).classes_size(), 1);
    ExpectModelsAnswer(answer->results(i), 1, SmoothImage(30 + i, 20, i));
  }
}

TEST_F(InferenceEngineTest, ABadImageFailsAlone) {
  checkpoints_.Serve("a", 1);
  Start();
  const Answer answer =
      Classify(Request({png_, "plain text", png_, Encode(SmoothImage(200, 100), ".png")}));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->results(0).code(), 0);
  EXPECT_EQ(answer->results(1).code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
  EXPECT_FALSE(answer->results(1).error().empty());
  EXPECT_EQ(answer->results(2).code(), 0);
  EXPECT_EQ(answer->results(3).code(), static_cast<int>(absl::StatusCode::kResourceExhausted));
}

TEST_F(InferenceEngineTest, ARequestsOnlyImageFailsTheRequest) {
  checkpoints_.Serve("a", 1);
  Start();
  EXPECT_EQ(Classify(Request({"plain text"})).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Classify(Request({""})).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Classify(Request({Encode(SmoothImage(200, 100), ".png")})).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Classify(Request({})).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(InferenceEngineTest, AnUnknownModelIsTheSourcesError) {
  Start();
  EXPECT_EQ(Classify(Request({png_}, "run:none")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(InferenceEngineTest, APassedDeadlineAndAGoneCallerAreNotComputed) {
  checkpoints_.Serve("a", 1);
  Start();
  EXPECT_EQ(Classify(Request({png_, png_}), {.deadline = absl::InfinitePast()}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  std::stop_source caller;
  caller.request_stop();
  EXPECT_EQ(Classify(Request({png_}), {.cancelled = caller.get_token()}).status().code(),
            absl::StatusCode::kCancelled);
}

TEST_F(InferenceEngineTest, ACallWithoutADeadlineHasTheDefaultTimeout) {
  checkpoints_.Serve("a", 1);
  Start({.max_queue_delay = absl::Hours(1),
         .default_timeout = absl::Milliseconds(20),
         .clock = &clock_});
  std::promise<Answer> promise;
  const ClassifyRequest request = Request({png_});
  engine_->Classify(request, {}, [&](Answer answer) { promise.set_value(std::move(answer)); });
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Milliseconds(20));
  EXPECT_EQ(promise.get_future().get().status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(InferenceEngineTest, ACancelledCallLeavesTheQueueAtOnce) {
  checkpoints_.Serve("a", 1);
  Start({.max_queue_delay = absl::Hours(1), .clock = &clock_});
  std::stop_source caller;
  std::promise<Answer> promise;
  const ClassifyRequest request = Request({png_});
  engine_->Classify(request, {.cancelled = caller.get_token()},
                    [&](Answer answer) { promise.set_value(std::move(answer)); });
  clock_.AwaitWaiters(1);
  caller.request_stop();
  EXPECT_EQ(promise.get_future().get().status().code(), absl::StatusCode::kCancelled);
}

TEST_F(InferenceEngineTest, PixelsAndNormalizedValuesAreTakenAsTheyAre) {
  checkpoints_.Serve("a", 7);
  Start();
  auto model = *FrozenModel::Load(*checkpoints_.FindModel("run:a"), Device::Cpu());
  const PreparedImage prepared = *model->Prepare({.data = png_}, {});
  std::vector<float> normalized;
  for (const uint8_t byte : prepared.bytes) normalized.push_back((byte / 255.F - 0.5F) / 0.25F);
  const absl::string_view bytes(reinterpret_cast<const char*>(prepared.bytes.data()),
                                prepared.bytes.size());
  const absl::string_view floats(reinterpret_cast<const char*>(normalized.data()),
                                 normalized.size() * sizeof(float));
  const auto infer = [&](ImageInput::Form form, absl::string_view data) {
    std::promise<absl::StatusOr<InferenceAnswer>> promise;
    engine_->Infer({.model = "run:a", .images = {{.form = form, .data = data}}},
                   [&](auto answer) { promise.set_value(std::move(answer)); });
    return promise.get_future().get();
  };
  const std::vector<float> expected = ExpectedProbabilities(7, image_);
  for (const auto& answer :
       {infer(ImageInput::Form::kEncoded, png_), infer(ImageInput::Form::kPixels, bytes),
        infer(ImageInput::Form::kNormalized, floats)}) {
    ASSERT_EQ(answer.status(), absl::OkStatus());
    EXPECT_THAT(answer->results[0]->probabilities,
                ::testing::Pointwise(::testing::FloatNear(1e-5), expected));
  }
  EXPECT_EQ(infer(ImageInput::Form::kPixels, bytes.substr(1)).status(),
            absl::InvalidArgumentError("an image has 767 bytes; [3, 16, 16] has 768"));
  EXPECT_EQ(infer(ImageInput::Form::kNormalized, bytes).status(),
            absl::InvalidArgumentError("an image has 768 bytes; [3, 16, 16] has 3072"));
}

TEST_F(InferenceEngineTest, OptionsOutOfRangeAreNamed) {
  const auto message = [&](const InferenceEngine::Options& options) {
    return std::string(InferenceEngine::Create(&checkpoints_, options).status().message());
  };
  EXPECT_EQ(message({.max_batch_size = 0}), "max_batch_size is 0; expected at least 1");
  EXPECT_EQ(message({.max_queue_delay = absl::Seconds(-1)}),
            "max_queue_delay is -1s; expected at least 0");
  EXPECT_EQ(message({.queue = {.max_bytes = 0}}), "max_bytes is 0; expected at least 1");
  EXPECT_EQ(message({.default_timeout = absl::ZeroDuration()}), "default_timeout must be above 0");
}

TEST_F(InferenceEngineTest, TooManyImagesAreRefused) {
  checkpoints_.Serve("a", 1);
  Start({.queue = {.max_images = 3}, .max_images_per_request = 8});
  EXPECT_EQ(Classify(Request({png_, png_, png_, png_})).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Classify(Request({png_, png_, png_})).ok());
  const absl::Status many = Classify(Request(std::vector<std::string>(9, png_))).status();
  EXPECT_EQ(many.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(many.message()), HasSubstr("at most 8"));
}

TEST_F(InferenceEngineTest, NoCallFailsWhileTheCheckpointChangesAndEachAnswerIsItsModels) {
  checkpoints_.Serve("a", 1);
  Start();
  std::map<int64_t, std::vector<float>> expected;
  for (int64_t step = 1; step <= 5; ++step) expected[step] = ExpectedProbabilities(step, image_);
  std::atomic<int64_t> newest_seen{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&] {
      while (newest_seen < 5) {
        const Answer answer = Classify(Request({png_}));
        ASSERT_TRUE(answer.ok()) << answer.status();
        const int64_t step = answer->model().step();
        for (const auto& score : answer->results(0).classes()) {
          ASSERT_NEAR(score.probability(), expected[step][score.index()], 1e-5) << step;
        }
        int64_t seen = newest_seen;
        while (seen < step && !newest_seen.compare_exchange_weak(seen, step)) {
        }
      }
    });
  }
  for (int64_t step = 2; step <= 5; ++step) {
    checkpoints_.Serve("a", step);
    while (newest_seen < step) std::this_thread::yield();
  }
  for (std::thread& client : clients) client.join();
}

TEST_F(InferenceEngineTest, DestructionAnswersEveryCall) {
  checkpoints_.Serve("a", 1);
  Start();
  std::vector<std::future<Answer>> answers;
  const ClassifyRequest request = Request({png_});
  for (int i = 0; i < 50; ++i) {
    auto promise = std::make_shared<std::promise<Answer>>();
    answers.push_back(promise->get_future());
    engine_->Classify(request, {},
                      [promise](Answer answer) { promise->set_value(std::move(answer)); });
  }
  engine_.reset();
  for (auto& answer : answers) {
    const absl::Status status = answer.get().status();
    EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kUnavailable) << status;
  }
}

TEST_F(InferenceEngineTest, PreloadLoads) {
  checkpoints_.Serve("a", 1);
  Start();
  EXPECT_TRUE(engine_->Preload("run:a").ok());
  EXPECT_EQ(checkpoints_.leases(), 1);
  EXPECT_EQ(engine_->Preload("run:none").code(), absl::StatusCode::kNotFound);
}

class EmbedExplainTest : public InferenceEngineTest {
 protected:
  absl::StatusOr<vit::v1::EmbedResponse> Embed(const std::vector<std::string>& images,
                                               bool tokens) {
    vit::v1::EmbedRequest request;
    for (const std::string& image : images) request.add_images(image);
    request.set_model("run:a");
    request.set_tokens(tokens);
    std::promise<absl::StatusOr<vit::v1::EmbedResponse>> promise;
    engine_->Embed(request, {}, [&](auto answer) { promise.set_value(std::move(answer)); });
    return promise.get_future().get();
  }
  absl::StatusOr<vit::v1::ExplainResponse> Explain(const std::string& image,
                                                   std::optional<int> block = {}) {
    vit::v1::ExplainRequest request;
    request.set_image(image);
    request.set_model("run:a");
    if (block) request.set_block(*block);
    std::promise<absl::StatusOr<vit::v1::ExplainResponse>> promise;
    engine_->Explain(request, {}, [&](auto answer) { promise.set_value(std::move(answer)); });
    return promise.get_future().get();
  }
};

TEST_F(EmbedExplainTest, FeaturesAreWhatTheHeadIsAppliedTo) {
  checkpoints_.Serve("a", 7);
  Start();
  const auto pooled = Embed({png_, "no image"}, /*tokens=*/false);
  ASSERT_TRUE(pooled.ok()) << pooled.status();
  EXPECT_EQ(pooled->tokens(), 1);
  EXPECT_EQ(pooled->features(), 16);
  ASSERT_EQ(pooled->results(0).values_size(), 16);
  EXPECT_EQ(pooled->results(1).code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
  // The class token is the first of all tokens.
  const auto tokens = Embed({png_}, /*tokens=*/true);
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ(tokens->tokens(), 17);
  ASSERT_EQ(tokens->results(0).values_size(), 17 * 16);
  for (int i = 0; i < 16; ++i) {
    EXPECT_FLOAT_EQ(tokens->results(0).values(i), pooled->results(0).values(i));
  }
  EXPECT_EQ(Embed({}, false).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(EmbedExplainTest, AnExplanationShowsTheImageUnderItsRelevance) {
  checkpoints_.Serve("a", 7);
  Start();
  const auto rollout = Explain(png_);
  ASSERT_TRUE(rollout.ok()) << rollout.status();
  EXPECT_EQ(rollout->rows(), 4);
  EXPECT_EQ(rollout->columns(), 4);
  ASSERT_EQ(rollout->relevance_size(), 16);
  EXPECT_EQ(rollout->attention_size(), 0);
  EXPECT_EQ(rollout->classes(0).label(), Classify(Request({png_}))->results(0).classes(0).label());
  const auto map = DecodeImage(rollout->heat_map(), {});
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_EQ(map->width, 16);
  EXPECT_EQ(map->height, 16);

  const auto block = Explain(png_, 1);
  ASSERT_TRUE(block.ok()) << block.status();
  EXPECT_EQ(block->heads(), 2);
  EXPECT_EQ(block->tokens(), 17);
  ASSERT_EQ(block->attention_size(), 2 * 17 * 17);
  for (int row = 0; row < 2 * 17; ++row) {
    float sum = 0;
    for (int column = 0; column < 17; ++column) sum += block->attention(row * 17 + column);
    EXPECT_NEAR(sum, 1, 1e-5);
  }
  // The mean over heads of the class token's row, without the class token itself.
  for (int patch = 0; patch < 16; ++patch) {
    EXPECT_NEAR(block->relevance(patch),
                (block->attention(1 + patch) + block->attention(17 * 17 + 1 + patch)) / 2, 1e-6);
  }
}

TEST_F(EmbedExplainTest, WhatCannotBeExplainedIsSaid) {
  checkpoints_.Serve("a", 7);
  Start();
  const absl::Status block = Explain(png_, 2).status();
  EXPECT_EQ(block.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(block.message()),
              HasSubstr("block is 2; run:a has 2 blocks, counted from 0"));
  EXPECT_EQ(Explain(png_, -1).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Explain("no image").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vit
