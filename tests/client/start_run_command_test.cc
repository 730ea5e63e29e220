#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "client/vitctl/spec_options.h"
#include "proto/spec_text.h"
#include "tests/client/fake_vitd.h"

namespace vit {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Keeps the last request, answers with an effective spec.
FakeAnswers Accepting(v1::StartTrainingRequest* asked) {
  FakeAnswers answers;
  answers.start_training = [asked](const v1::StartTrainingRequest& request,
                                   v1::StartTrainingResponse* response) {
    *asked = request;
    if (!request.validate_only()) {
      *response->mutable_run() = TrainingRun();
      response->mutable_run()->set_queue_position(1);
    }
    *response->mutable_effective_spec() = request.spec();
    response->mutable_effective_spec()->set_batch_size(64);
    auto* optimizer = response->mutable_effective_spec()->mutable_optimizer();
    optimizer->set_learning_rate(1e-3);
    optimizer->set_base_learning_rate(5e-4);
    optimizer->set_base_batch_size(256);
    response->set_parameter_count(21'700'000);
    response->set_estimated_memory_bytes(int64_t{3} << 30);
    response->set_train_size(3680);
    response->set_validation_size(736);
    response->set_total_steps(2860);
    return grpc::Status::OK;
  };
  return answers;
}

std::string WriteFile(const std::string& name, const std::string& text) {
  const std::string path = absl::StrCat(::testing::TempDir(), "/", name);
  std::ofstream(path) << text;
  return path;
}

TEST(StartRunCommandTest, SendsWhatWasAskedAndSaysHowToFollow) {
  v1::StartTrainingRequest asked;
  FakeVitd vitd(Accepting(&asked));
  const Outcome outcome =
      Vitctl(vitd, {"start-run", "--data", "folder:/data/pets", "--preset", "vit_small_patch16_224",
                    "--init", "run:abc", "--name", "pets", "--set", "epochs=3"});
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_EQ(asked.preset(), "vit_small_patch16_224");
  EXPECT_EQ(asked.name(), "pets");
  EXPECT_EQ(asked.spec().data().source(), "folder:/data/pets");
  EXPECT_EQ(asked.spec().init(), "run:abc");
  EXPECT_EQ(asked.spec().epochs(), 3);
  EXPECT_FALSE(asked.validate_only());
  EXPECT_EQ(asked.request_id().size(), 36u);
  EXPECT_THAT(outcome.out, StartsWith("started run 7f3a2c (pets)\n"));
  EXPECT_THAT(outcome.out,
              HasSubstr("3,680 training and 736 validation images of folder:/data/pets\n"));
  EXPECT_THAT(outcome.out, HasSubstr("memory  about 3.0 GiB\n"));
  EXPECT_THAT(outcome.out, HasSubstr(absl::StrCat("follow it with: vitctl --server ",
                                                  vitd.address(), " watch 7f3a2c\n")));
}

TEST(StartRunCommandTest, SetWinsOverFlagsWinOverTheSpecFile) {
  v1::StartTrainingRequest asked;
  FakeVitd vitd(Accepting(&asked));
  const std::string file =
      WriteFile("spec.textproto",
                "data { source: 'shapes:' interpolation: INTERPOLATION_BILINEAR }\n"
                "epochs: 1 batch_size: 16 optimizer { learning_rate: 1 beta1: 0.5 }");
  const Outcome outcome = Vitctl(
      vitd, {"start-run", "--set", "optimizer.learning_rate=3e-4", "--set", "data.mean=0.1,0.2,0.3",
             "--set", "epochs=2", "--set=epochs=5", "--data", "shapes:hard", "--spec", file});
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_EQ(asked.spec().data().source(), "shapes:hard");
  EXPECT_EQ(asked.spec().data().interpolation(), v1::INTERPOLATION_BILINEAR);
  EXPECT_EQ(asked.spec().data().mean_size(), 3);
  EXPECT_EQ(asked.spec().optimizer().learning_rate(), 3e-4);
  EXPECT_EQ(asked.spec().optimizer().beta1(), 0.5);
  EXPECT_EQ(asked.spec().batch_size(), 16);
  EXPECT_EQ(asked.spec().epochs(), 5);
}

TEST(StartRunCommandTest, SpecMayBeJsonOnStandardInput) {
  v1::StartTrainingRequest asked;
  FakeVitd vitd(Accepting(&asked));
  const Outcome outcome = Vitctl(vitd, {"start-run", "--spec", "-"}, Pipe(),
                                 R"({"data": {"source": "shapes:"}, "max_steps": 5})");
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_EQ(asked.spec().max_steps(), 5);
}

TEST(StartRunCommandTest, MisspeltFieldsNameTheNearestAndSendNothing) {
  FakeVitd vitd({});
  const Outcome set = Vitctl(vitd, {"start-run", "--set", "optimizer.lerning_rate=1"});
  EXPECT_EQ(set.exit_code, kExitUsage);
  EXPECT_THAT(set.err, HasSubstr("did you mean 'optimizer.learning_rate'?"));
  const Outcome type = Vitctl(vitd, {"start-run", "--set", "batch_size=many"});
  EXPECT_EQ(type.exit_code, kExitUsage);
  EXPECT_EQ(type.err,
            "vitctl: --set batch_size=many: batch_size: 'many' is not a 32-bit integer\n");
  const std::string file = WriteFile("typo.textproto", "epochs: 1\nbach_size: 3\n");
  const Outcome spec = Vitctl(vitd, {"start-run", "--spec", file});
  EXPECT_EQ(spec.exit_code, kExitUsage);
  EXPECT_THAT(spec.err, HasSubstr(file + ": line 2"));
  EXPECT_THAT(spec.err, HasSubstr("'batch_size'"));
  EXPECT_EQ(Vitctl(vitd, {"start-run", "--spec", "/no/such/file"}).exit_code, kExitNotFound);
  const std::string wrong = WriteFile("type.textproto", "epochs: 1\nbatch_size: 'many'\n");
  const Outcome value = Vitctl(vitd, {"start-run", "--spec", wrong});
  EXPECT_EQ(value.exit_code, kExitUsage);
  EXPECT_EQ(value.err, absl::StrCat("vitctl: --spec ", wrong,
                                    ": line 2, column 13: batch_size: Expected integer, got: "
                                    "'many'\n"));
  const std::string json = WriteFile("type.json", R"({"optimizer": {"beta1": "many"}})");
  const Outcome json_value = Vitctl(vitd, {"start-run", "--spec", json});
  EXPECT_EQ(json_value.exit_code, kExitUsage);
  EXPECT_THAT(json_value.err, AllOf(HasSubstr(json), HasSubstr("beta1"), HasSubstr("many")));
}

TEST(StartRunCommandTest, TellsThePlaceInTheQueue) {
  FakeAnswers answers;
  answers.start_training = [](const auto&, v1::StartTrainingResponse* response) {
    *response->mutable_run() = TrainingRun();
    response->mutable_run()->set_state(v1::RUN_STATE_QUEUED);
    response->mutable_run()->set_queue_position(3);
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  EXPECT_THAT(Vitctl(vitd, {"start-run", "--data", "shapes:"}).out,
              StartsWith("queued run 7f3a2c (pets), place 3 in the queue\n"));
}

TEST(StartRunCommandTest, ServersReasonIsShown) {
  FakeAnswers answers;
  answers.start_training = [](const auto&, auto*) {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "data.source: no folder /data/pets");
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"start-run", "--data", "folder:/data/pets"});
  EXPECT_EQ(outcome.exit_code, kExitNotFound);
  EXPECT_EQ(outcome.err, "vitctl: data.source: no folder /data/pets\n");
}

TEST(StartRunCommandTest, ValidateOnlyPrintsASpecFile) {
  v1::StartTrainingRequest asked;
  FakeVitd vitd(Accepting(&asked));
  const Outcome outcome =
      Vitctl(vitd, {"start-run", "--data", "shapes:", "--validate-only", "--watch"});
  EXPECT_EQ(outcome.exit_code, kExitOk);
  EXPECT_TRUE(asked.validate_only());
  EXPECT_THAT(outcome.out, StartsWith("# valid; nothing was started\n# model   21.7 M parameters"));
  EXPECT_THAT(outcome.out,
              HasSubstr("# rate    peak learning rate 1.0e-03, from 5.0e-04 at 256 images\n"));
  v1::TrainingSpec spec;
  ASSERT_TRUE(ParseMessageText(outcome.out, &spec).ok());
  EXPECT_EQ(spec.batch_size(), 64);
}

TEST(StartRunCommandTest, JsonIsTheResponse) {
  v1::StartTrainingRequest asked;
  FakeVitd vitd(Accepting(&asked));
  const Outcome outcome = Vitctl(vitd, {"start-run", "--data", "shapes:", "-o", "json"});
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["run"]["id"], "7f3a2c");
  EXPECT_EQ(json["effective_spec"]["data"]["source"], "shapes:");
}

v1::TrainingSpec SpecOf(const std::string& source, const std::string& init) {
  v1::TrainingSpec spec;
  spec.mutable_data()->set_source(source);
  spec.set_init(init);
  return spec;
}

TEST(ResolvePathsTest, RelativePathsAreTakenFromHereOnTheSameMachine) {
  v1::TrainingSpec spec = SpecOf("folder:../pets/", "weights/a.safetensors");
  ASSERT_TRUE(ResolvePaths(true, "/home/me/work", "/home/me", &spec).ok());
  EXPECT_EQ(spec.data().source(), "folder:/home/me/pets");
  EXPECT_EQ(spec.init(), "/home/me/work/weights/a.safetensors");
  spec = SpecOf("cifar10:~/cifar", "/abs.safetensors");
  ASSERT_TRUE(ResolvePaths(true, "/work", "/home/me", &spec).ok());
  EXPECT_EQ(spec.data().source(), "cifar10:/home/me/cifar");
  EXPECT_EQ(spec.init(), "/abs.safetensors");
}

TEST(ResolvePathsTest, RelativePathsAreErrorsForAnotherMachine) {
  v1::TrainingSpec spec = SpecOf("folder:pets", "run:abc");
  const absl::Status status = ResolvePaths(false, "/work", "/home/me", &spec);
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), StartsWith("data.source: 'pets' is relative"));
}

TEST(ResolvePathsTest, WhatIsNoPathStays) {
  v1::TrainingSpec spec = SpecOf("shapes:hard", "run:abc");
  ASSERT_TRUE(ResolvePaths(false, "/work", "/home/me", &spec).ok());
  EXPECT_EQ(spec.data().source(), "shapes:hard");
  EXPECT_EQ(spec.init(), "run:abc");
}

}  // namespace
}  // namespace vit
