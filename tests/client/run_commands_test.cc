// status, runs, stop, resume, rm, history, presets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/vitctl/view/run_text.h"
#include "proto/spec_text.h"
#include "tests/client/fake_vitd.h"

namespace vit {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

FakeAnswers WithStatus() {
  FakeAnswers answers;
  answers.status = [](const v1::StatusRequest& request, v1::StatusResponse* response) {
    if (request.run() == "nope") {
      return grpc::Status(grpc::StatusCode::NOT_FOUND, "no run 'nope'; there are 7f3a2c");
    }
    *response->mutable_run() = TrainingRun();
    response->mutable_spec()->set_batch_size(64);
    *response->add_checkpoints() = TrainingRun().best_checkpoint();
    return grpc::Status::OK;
  };
  return answers;
}

FakeAnswers WithRuns() {
  FakeAnswers answers;
  answers.list_runs = [](const v1::ListRunsRequest&, v1::ListRunsResponse* response) {
    *response->add_runs() = TrainingRun();
    v1::Run* failed = response->add_runs();
    *failed = TrainingRun();
    failed->set_id("11bb02");
    failed->set_name("an experiment with quite a long name, as people give them");
    failed->set_state(v1::RUN_STATE_FAILED);
    v1::Run* queued = response->add_runs();
    queued->set_id("99ffee");
    queued->set_state(v1::RUN_STATE_QUEUED);
    return grpc::Status::OK;
  };
  return answers;
}

TEST(StatusCommandTest, SaysWhereTheRunIs) {
  FakeVitd vitd(WithStatus());
  const Outcome outcome = Vitctl(vitd, {"status"});
  EXPECT_EQ(outcome.exit_code, kExitOk);
  for (const char* expected :
       {"run          7f3a2c (pets)\n", "state        RUNNING, training\n",
        "progress     43%, step 1,234 of 2,860, epoch 4.3 of 10\n",
        "train        loss 0.8312  accuracy 71.4%  lr 8.2e-04  at step 1,220\n",
        "validation   loss 0.9021  accuracy 68.9%  at step 1,200\n",
        "speed        1,204 images/s, 4m 08s left\n", "best         68.9% at step 1,200\n",
        "checkpoints  step 1,200 (best)\n",
        "model        vit_small_patch16_224, 21.7 M parameters, 37 classes\n",
        "data         folder:/data/pets\n"}) {
    EXPECT_THAT(outcome.out, HasSubstr(expected));
  }
}

TEST(StatusCommandTest, SaysHowManyImagesWereLeftOutOfEachSplitAndWhy) {
  v1::Run run;
  EXPECT_EQ(BadImagesText(run), "");
  run.set_bad_images(2);
  EXPECT_EQ(BadImagesText(run), "2 training images could not be read");
  run.set_train_size(1234);
  run.set_bad_validation_images(1);
  run.set_validation_size(10);
  EXPECT_EQ(BadImagesText(run),
            "2 of 1,234 training images and 1 of 10 validation images could not be read");
  run.set_bad_validation_images(10);
  run.clear_bad_images();
  EXPECT_EQ(BadImagesText(run), "all 10 validation images could not be read");

  run.add_first_bad_images("/data/pets/a.jpg (the image is empty (0 bytes))");
  run.add_data_notes("not used: test/ beside train/");
  FakeAnswers answers;
  answers.status = [&](const v1::StatusRequest&, v1::StatusResponse* response) {
    *response->mutable_run() = run;
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const std::string out = Vitctl(vitd, {"status"}).out;
  EXPECT_THAT(out, HasSubstr("all 10 validation images could not be read\n"));
  EXPECT_THAT(out, HasSubstr(" /data/pets/a.jpg (the image is empty (0 bytes))\n"));
  EXPECT_THAT(out, HasSubstr(" not used: test/ beside train/\n"));
}

TEST(StatusCommandTest, FitsTheTerminal) {
  FakeVitd vitd(WithStatus());
  for (const int columns : {40, 80, 200}) {
    EXPECT_LE(WidestLine(Vitctl(vitd, {"status"}, Tty(columns)).out), columns);
  }
}

TEST(StatusCommandTest, JsonIsProtobufsOwnWithAllNumbers) {
  FakeVitd vitd(WithStatus());
  const Outcome outcome = Vitctl(vitd, {"status", "-o", "json"});
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["run"]["id"], "7f3a2c");
  EXPECT_EQ(json["run"]["state"], "RUN_STATE_RUNNING");
  EXPECT_EQ(json["run"]["total_steps"], "2860");
  EXPECT_EQ(json["run"]["bad_images"], "0");
  EXPECT_EQ(json["spec"], nlohmann::json({{"batch_size", 64}}));
  EXPECT_EQ(outcome.err, "");
}

TEST(StatusCommandTest, MissingRunIsNotFound) {
  FakeVitd vitd(WithStatus());
  const Outcome outcome = Vitctl(vitd, {"status", "nope"});
  EXPECT_EQ(outcome.exit_code, kExitNotFound);
  EXPECT_EQ(outcome.err, "vitctl: no run 'nope'; there are 7f3a2c\n");
  EXPECT_EQ(outcome.out, "");
}

TEST(RunsCommandTest, FitsEightyColumnsAndUsesMore) {
  FakeVitd vitd(WithRuns());
  const std::string narrow = Vitctl(vitd, {"runs"}, Tty(80)).out;
  EXPECT_LE(WidestLine(narrow), 80);
  for (const char* expected : {"7f3a2c", "RUNNING", "43%", "68.9%", "FAILED", "QUEUED"}) {
    EXPECT_THAT(narrow, HasSubstr(expected));
  }
  const std::string wide = Vitctl(vitd, {"runs"}, Tty(200)).out;
  EXPECT_LE(WidestLine(wide), 200);
  EXPECT_GT(WidestLine(wide), 80);
  EXPECT_THAT(wide, HasSubstr("vit_small_patch16_224"));
}

TEST(RunsCommandTest, PipeGetsEverythingAndNoColour) {
  FakeVitd vitd(WithRuns());
  const std::string out = Vitctl(vitd, {"runs"}).out;
  EXPECT_THAT(out, HasSubstr("an experiment with quite a long name, as people give them"));
  EXPECT_THAT(out, HasSubstr("folder:/data/pets"));
  EXPECT_THAT(out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(Vitctl(vitd, {"runs"}, Tty(80, true, /*color=*/true)).out,
              HasSubstr("\x1b[31mFAILED\x1b[0m"));
}

TEST(RunsCommandTest, FollowsPagesUpToTheLimit) {
  std::vector<std::string> tokens;
  FakeAnswers answers;
  answers.list_runs = [&](const v1::ListRunsRequest& request, v1::ListRunsResponse* response) {
    tokens.push_back(request.page_token());
    for (int i = 0; i < 2; ++i) response->add_runs()->set_id(absl::StrCat("run", tokens.size(), i));
    response->set_next_page_token(absl::StrCat("page", tokens.size()));
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"runs", "--limit", "4"});
  EXPECT_THAT(tokens, ElementsAre("", "page1"));
  EXPECT_THAT(outcome.out, HasSubstr("run21"));
  EXPECT_EQ(outcome.err, "there are more; see them with --limit\n");
}

TEST(RunsCommandTest, StatesAreAskedFor) {
  v1::ListRunsRequest asked;
  FakeAnswers answers;
  answers.list_runs = [&](const v1::ListRunsRequest& request, v1::ListRunsResponse*) {
    asked = request;
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"runs", "--state", "failed", "--state", "STOPPED"});
  EXPECT_EQ(outcome.exit_code, kExitOk);
  EXPECT_THAT(asked.states(), ElementsAre(v1::RUN_STATE_FAILED, v1::RUN_STATE_STOPPED));
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "no runs in that state\n");
}

TEST(StopCommandTest, SaysHowToGoOn) {
  FakeAnswers answers;
  answers.stop_run = [](const v1::StopRunRequest& request, v1::StopRunResponse* response) {
    *response->mutable_run() = TrainingRun();
    response->mutable_run()->set_id(request.run());
    response->mutable_run()->set_state(v1::RUN_STATE_STOPPING);
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  EXPECT_EQ(Vitctl(vitd, {"stop", "7f3a2c"}).out,
            "run 7f3a2c (pets) writes a checkpoint and stops; continue it later: vitctl --server " +
                vitd.address() + " resume 7f3a2c\n");
}

TEST(ResumeCommandTest, SendsLoaderThreadsAndChanges) {
  v1::ResumeRunRequest asked;
  FakeAnswers answers;
  answers.resume_run = [&](const v1::ResumeRunRequest& request, v1::ResumeRunResponse* response) {
    asked = request;
    *response->mutable_run() = TrainingRun();
    response->mutable_run()->set_state(v1::RUN_STATE_QUEUED);
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"resume", "7f3a2c", "--loader-threads", "3"});
  EXPECT_EQ(asked.run(), "7f3a2c");
  EXPECT_EQ(asked.loader_threads(), 3);
  EXPECT_FALSE(asked.has_changes());
  EXPECT_THAT(outcome.out, StartsWith("run 7f3a2c (pets) continues from step 1,200 of 2,860\n"));

  Vitctl(vitd, {"resume", "x", "--set", "epochs=40", "--set", "schedule.type=constant"});
  EXPECT_EQ(asked.changes().epochs(), 40);
  EXPECT_EQ(asked.changes().schedule().type(), v1::SCHEDULE_TYPE_CONSTANT);
  const Outcome misspelt = Vitctl(vitd, {"resume", "x", "--set", "epoch=40"});
  EXPECT_EQ(misspelt.exit_code, kExitUsage);
  EXPECT_THAT(misspelt.err, HasSubstr("epochs"));
}

TEST(RmCommandTest, OneFailureDoesNotKeepTheOthers) {
  FakeAnswers answers;
  answers.delete_run = [](const v1::DeleteRunRequest& request, auto*) {
    if (request.run() == "b") {
      return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "run b is RUNNING; stop it first");
    }
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"rm", "a", "b", "c"});
  EXPECT_EQ(outcome.exit_code, kExitPrecondition);
  EXPECT_EQ(outcome.out, "removed run a with its files\nremoved run c with its files\n");
  EXPECT_EQ(outcome.err, "vitctl: run b is RUNNING; stop it first\n");
  const Outcome json = Vitctl(vitd, {"-o", "json", "rm", "a", "b"});
  EXPECT_EQ(nlohmann::json::parse(json.out), nlohmann::json({{"removed", {"a"}}}));
}

FakeAnswers WithHistory(v1::GetHistoryRequest* asked) {
  FakeAnswers answers;
  answers.get_history = [asked](const v1::GetHistoryRequest& request,
                                v1::GetHistoryResponse* response) {
    *asked = request;
    *response->mutable_run() = TrainingRun();
    *response->add_points() = TrainingRun().last_train();
    *response->add_points() = TrainingRun().last_validation();
    return grpc::Status::OK;
  };
  return answers;
}

TEST(HistoryCommandTest, TableCsvAndJson) {
  v1::GetHistoryRequest asked;
  FakeVitd vitd(WithHistory(&asked));
  const std::string table = Vitctl(vitd, {"history", "7f3a2c"}, Tty(80)).out;
  EXPECT_THAT(table, HasSubstr("train       0.8312     71.4%  8.2e-04"));
  EXPECT_LE(WidestLine(table), 80);
  EXPECT_THAT(
      Vitctl(vitd, {"history", "7f3a2c", "--csv"}).out,
      StartsWith("step,epoch,split,loss,accuracy,learning_rate,grad_norm,images_per_second,"
                 "top_k_accuracy,precision,recall,f1,precision_weighted,f1_weighted,"
                 "calibration_error,time,top_k\n"
                 "1220,0,train,0.8312,0.714,0.00082,1.21,0,,,,,,,,1970-01-01T00:00:00+00:00,\n"
                 "1200,0,validation,0.9021,0.689,0,,,0.97,0.7,0.66,0.67,0.71,0.68,0.031,"));
  EXPECT_THAT(Vitctl(vitd, {"history", "7f3a2c"}, Tty(200)).out, HasSubstr("97.0%  67.0%   66.0%"));
  const auto json = nlohmann::json::parse(Vitctl(vitd, {"history", "7f3a2c", "-o", "json"}).out);
  EXPECT_EQ(json["points"][0]["split"], "SPLIT_TRAIN");
  Vitctl(vitd, {"history"});
  EXPECT_EQ(asked.run(), "") << "the latest";
}

TEST(HistoryCommandTest, TopKIsShownWithItsK) {
  std::vector<int> ks = {5, 5};
  FakeAnswers answers;
  answers.get_history = [&](const v1::GetHistoryRequest&, v1::GetHistoryResponse* response) {
    for (const int k : ks) {
      v1::MetricPoint* point = response->add_points();
      *point = TrainingRun().last_validation();
      point->mutable_evaluation()->set_top_k(k);
    }
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const std::string same = Vitctl(vitd, {"history"}, Tty(200)).out;
  EXPECT_THAT(same, HasSubstr(" TOP-5 "));
  const std::string csv = Vitctl(vitd, {"history", "--csv"}).out;
  EXPECT_THAT(csv, HasSubstr("+00:00,5\n"));
  EXPECT_EQ(Vitctl(vitd, {"-o", "csv", "history"}).out, csv);
  ks = {5, 3};
  const std::string differ = Vitctl(vitd, {"history"}, Tty(200)).out;
  EXPECT_THAT(differ, AllOf(HasSubstr(" TOP-K "), HasSubstr("97.0% (5)"), HasSubstr("97.0% (3)")));
}

TEST(HistoryCommandTest, SendsItsFilters) {
  v1::GetHistoryRequest asked;
  FakeVitd vitd(WithHistory(&asked));
  Vitctl(vitd, {"history", "x", "--split", "validation", "--after-step", "7", "--max-points", "9"});
  EXPECT_EQ(asked.run(), "x");
  EXPECT_EQ(asked.split(), v1::SPLIT_VALIDATION);
  EXPECT_EQ(asked.after_step(), 7);
  EXPECT_EQ(asked.max_points(), 9);
}

FakeAnswers WithEvaluation() {
  FakeAnswers answers;
  answers.get_evaluation = [](const v1::GetEvaluationRequest& request,
                              v1::GetEvaluationResponse* response) {
    if (request.step() == 7) {
      return grpc::Status(grpc::StatusCode::NOT_FOUND, "run x keeps no evaluation of step 7");
    }
    *response->mutable_run() = TrainingRun();
    v1::Evaluation* evaluation = response->mutable_evaluation();
    evaluation->set_step(1200);
    evaluation->set_accuracy(0.6);
    for (const char* name : {"cat", "a \"big\", dog"}) {
      v1::ClassMetrics* one = evaluation->add_classes();
      one->set_name(name);
      one->set_samples(50);
      one->set_recall(0.6);
      one->set_precision(0.5);
    }
    for (const int64_t count : {30, 20, 25, 25}) evaluation->add_confusion(count);
    return grpc::Status::OK;
  };
  return answers;
}

TEST(EvaluationCommandTest, ATableOfTheClasses) {
  FakeVitd vitd(WithEvaluation());
  const std::string table = Vitctl(vitd, {"evaluation", "7f3a2c"}, Tty(80)).out;
  EXPECT_THAT(table, HasSubstr("step 1,200"));
  EXPECT_THAT(table, HasSubstr("cat                50   60.0%      50.0%"));
  EXPECT_THAT(table, HasSubstr("a \"big\", dog 40.0%"));
  EXPECT_LE(WidestLine(table), 80);
}

TEST(EvaluationCommandTest, TheConfusionMatrixIsCsv) {
  FakeVitd vitd(WithEvaluation());
  EXPECT_EQ(Vitctl(vitd, {"evaluation", "--confusion"}).out,
            "class,\"cat\",\"a \"\"big\"\", dog\"\n"
            "\"cat\",30,20\n"
            "\"a \"\"big\"\", dog\",25,25\n");
  const Outcome none = Vitctl(vitd, {"evaluation", "x", "--step", "7"});
  EXPECT_NE(none.exit_code, kExitOk);
  EXPECT_THAT(none.err, HasSubstr("keeps no evaluation of step 7"));
}

TEST(PresetsCommandTest, OnePresetIsAFileForSpec) {
  FakeAnswers answers;
  answers.list_presets = [](const v1::ListPresetsRequest& request,
                            v1::ListPresetsResponse* response) {
    EXPECT_THAT(request.batch_size(), AnyOf(0, 64));
    v1::Preset* preset = response->add_presets();
    preset->set_name("shapes_demo");
    preset->set_description("Generated shapes, in two minutes on a CPU");
    preset->set_parameter_count(211210);
    preset->set_forward_flops(5.35e6);
    preset->set_training_memory_bytes(int64_t{300} << 20);
    preset->mutable_spec()->mutable_data()->set_source("shapes:");
    preset->mutable_spec()->mutable_model()->set_depth(4);
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  EXPECT_THAT(Vitctl(vitd, {"presets"}, Tty(80)).out,
              HasSubstr("shapes_demo       211 k      5.35 M  300 MiB  shapes:"));
  EXPECT_THAT(Vitctl(vitd, {"presets", "--batch-size", "64"}, Tty(200)).out,
              HasSubstr("shapes_demo       211 k      5.35 M  300 MiB  shapes:"));
  const std::string text = Vitctl(vitd, {"presets", "shapes_demo"}).out;
  EXPECT_THAT(
      text,
      StartsWith(
          "# shapes_demo: Generated shapes, in two minutes on a CPU\n"
          "# 211 k parameters with 1,000 classes, 5.35 MFLOP per image, about 300 MiB to train\n"));
  v1::TrainingSpec spec;
  ASSERT_TRUE(ParseMessageText(text, &spec).ok());
  EXPECT_EQ(spec.model().depth(), 4);
}

}  // namespace
}  // namespace vit
