// Calls from many clients while the model they ask improves under them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/compute/torch_device.h"
#include "core/base/mutex.h"
#include "core/data/dataset.h"
#include "core/data/loader/loader.h"
#include "core/model/normalize.h"
#include "core/model/vision_transformer.h"
#include "core/tensor_file/safetensors.h"
#include "core/train/checkpoint/checkpoint_info.h"
#include "core/train/trainer.h"
#include "core/weights/load_weights.h"
#include "core/weights/model_directory.h"
#include "tests/core/data/testing.h"
#include "tests/e2e/process.h"
#include "tests/server/testing.h"

namespace vit {
namespace {

constexpr int kClasses = 3;

// An image whose colour shows its class, with its own ramp and size.
Image ColouredImage(int label, int number) {
  Image image = SmoothImage(20 + number, 24 - number, label * 100 + number);
  for (size_t i = 0; i < image.rgb.size(); ++i) {
    image.rgb[i] =
        static_cast<uint8_t>(image.rgb[i] / 2 + (static_cast<int>(i % 3) == label ? 120 : 0));
  }
  return image;
}

// Writes the data set; returns the validation images' bytes by their paths.
std::map<std::string, std::string> WriteData(const TemporaryFolder& folder) {
  std::map<std::string, std::string> validation;
  for (int label = 0; label < kClasses; ++label) {
    for (int i = 0; i < 12; ++i) {
      const Image image = ColouredImage(label, i);
      const std::string extension = i % 2 == 0 ? ".png" : ".jpg";
      std::string bytes = Encode(image, extension);
      if (i % 4 == 1) bytes = WithJpegOrientation(bytes, 6);
      const std::string name =
          absl::StrCat("data/", i < 8 ? "train" : "val", "/class", label, "/", i, extension);
      folder.Write(name, bytes);
      if (i >= 8) validation[(folder.path() / name).string()] = bytes;
    }
  }
  return validation;
}

// What evaluation computes for the validation images with the weights of `checkpoint`: class
// probabilities by path.
std::map<std::string, std::vector<float>> EvaluationOutput(
    const vit::v1::TrainingSpec& spec, const std::filesystem::path& checkpoint) {
  std::map<std::string, std::vector<float>> output;
  const absl::StatusOr<std::shared_ptr<const DataSet>> data =
      DataSet::Open(spec.data(), {.data_roots = {"/"}});
  const absl::StatusOr<ModelDescription> description = ReadModelDescription(checkpoint);
  const absl::StatusOr<TensorFile> weights = ReadSafetensors(checkpoint / "model.safetensors");
  EXPECT_TRUE(data.ok() && description.ok() && weights.ok()) << checkpoint;
  if (testing::Test::HasFailure()) return output;
  VisionTransformer model(description->model);
  EXPECT_TRUE(LoadWeights(weights->tensors, *model).ok());
  model->eval();
  torch::NoGradGuard no_grad;
  SampleReader reader(*data, spec.data(), spec.model().image_size(), [](auto&&...) {});
  EvalLoader loader(&reader, {.split = DataSplit::kValidation, .batch_size = 128, .threads = 1});
  absl::StatusOr<Batch> batch = loader.Next({});
  EXPECT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->size, (*data)->size(DataSplit::kValidation));
  const int64_t side = batch->image_size;
  const at::Tensor images = HostTensor(std::move(batch->images), {batch->size, 3, side, side});
  const at::Tensor probabilities =
      model->forward(Normalizer(spec.data(), at::kCPU)(images)).softmax(1);
  for (int64_t i = 0; i < batch->size; ++i) {
    const at::Tensor row = probabilities[i].contiguous();
    output[(*data)->name(DataSplit::kValidation, i)].assign(row.data_ptr<float>(),
                                                            row.data_ptr<float>() + row.numel());
  }
  return output;
}

TEST(ClassifyWhileTrainingTest, NoCallFailsAndEachAnswerIsTheNamedCheckpointsEvaluation) {
  TemporaryFolder folder;
  const std::map<std::string, std::string> images = WriteData(folder);
  TestDaemon daemon(folder.path() / "state", {"--data-root", (folder.path() / "data").string()});
  ASSERT_NO_FATAL_FAILURE(daemon.Start());
  Client starter(daemon.grpc_port());
  vit::v1::TrainingSpec spec = TinySpec(1'000'000);
  spec.mutable_data()->set_source("folder:" + (folder.path() / "data").string());
  spec.set_batch_size(8);
  spec.mutable_evaluation()->set_best(vit::v1::BEST_METRIC_LOSS);
  spec.mutable_evaluation()->set_every_steps(20);
  spec.mutable_checkpoint()->set_keep_last(100'000);
  const vit::v1::Run run = starter.Start(spec);
  ASSERT_TRUE(daemon.process().AwaitLine("checkpoint written"));

  struct Answer {
    std::string image;
    std::vector<float> probabilities;
  };
  Mutex mu;
  std::map<int64_t, std::vector<Answer>> answers;  // by step
  std::atomic<int> calls = 0, checkpoints = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&, i] {
      Client client(daemon.grpc_port());
      auto image = std::next(images.begin(), i);
      // A thousand calls in all, and more until they have seen three changes.
      while ((calls < 1000 || checkpoints < 4) && !testing::Test::HasFailure()) {
        vit::v1::ClassifyResponse response;
        const grpc::Status status =
            client.Classify({image->second}, calls % 2 ? "latest" : "run:" + run.id(), &response);
        ++calls;
        ASSERT_TRUE(status.ok()) << status.error_code() << ": " << status.error_message();
        ASSERT_EQ(response.results_size(), 1);
        ASSERT_EQ(response.results(0).classes_size(), kClasses);
        Answer answer{image->first, std::vector<float>(kClasses)};
        for (const auto& c : response.results(0).classes()) {
          answer.probabilities[c.index()] = c.probability();
        }
        if (++image == images.end()) image = images.begin();
        MutexLock lock(&mu);
        std::vector<Answer>& of_step = answers[response.model().step()];
        if (of_step.empty()) ++checkpoints;
        of_step.push_back(std::move(answer));
        ASSERT_LT(calls, 200'000) << "the checkpoint in use does not change";
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_GE(answers.size(), 4u);
  EXPECT_GE(calls, 1000);

  const vit::v1::TrainingSpec effective = starter.Status(run.id()).spec();
  for (const auto& [step, of_step] : answers) {
    SCOPED_TRACE(absl::StrCat("step ", step));
    const auto expected =
        EvaluationOutput(effective, CheckpointPath(daemon.RunDirectory(run.id()), step));
    for (const Answer& answer : of_step) {
      const auto found = expected.find(answer.image);
      ASSERT_NE(found, expected.end()) << answer.image;
      // A batch's size may change the order of a sum, nothing more.
      EXPECT_THAT(answer.probabilities,
                  testing::Pointwise(testing::FloatNear(1e-5), found->second));
    }
  }
}

}  // namespace
}  // namespace vit
