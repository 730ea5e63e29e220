// The real vitd and vitctl: train, watch, classify, scrape, stop, crash, full disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/core/data/testing.h"
#include "tests/e2e/process.h"
#include "tests/server/testing.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

fs::path CheckpointDirectory(const TestDaemon& daemon, const vit::v1::Run& run, int64_t step) {
  const std::string digits = absl::StrCat(step);
  return daemon.RunDirectory(run.id()) / "checkpoints" /
         ("step-" + std::string(9 - digits.size(), '0') + digits);
}

TEST(EndToEndTest, TrainsIsWatchedClassifiesAndIsScraped) {
  TemporaryFolder folder;
  TestDaemon daemon(folder.path() / "state");
  ASSERT_NO_FATAL_FAILURE(daemon.Start());
  EXPECT_EQ(daemon.Vitctl({"health"}).first, 0);
  const auto [code, output] = daemon.Vitctl({"start-run",
                                             "--data",
                                             "shapes:",
                                             "--name",
                                             "first",
                                             "--set",
                                             "model.image_size=16",
                                             "--set",
                                             "model.patch_size=4",
                                             "--set",
                                             "model.embed_dim=32",
                                             "--set",
                                             "model.depth=1",
                                             "--set",
                                             "model.num_heads=2",
                                             "--set",
                                             "data.shapes.train_size=200",
                                             "--set",
                                             "data.shapes.val_size=40",
                                             "--set",
                                             "batch_size=20",
                                             "--set",
                                             "max_steps=40",
                                             "--set",
                                             "evaluation.every_steps=10",
                                             "--set",
                                             "log_every_steps=5",
                                             "--watch"});
  ASSERT_EQ(code, 0) << output;
  EXPECT_THAT(output, HasSubstr("SUCCEEDED"));
  EXPECT_THAT(output, HasSubstr("step 40/40"));

  const auto [status_code, status_text] = daemon.Vitctl({"-o", "json", "status", "first"});
  ASSERT_EQ(status_code, 0) << status_text;
  const nlohmann::json run = nlohmann::json::parse(status_text)["run"];
  const std::string metrics = HttpGet(daemon.metrics_port(), "/metrics");
  const std::string label = absl::StrCat("{run=\"", run["id"].get<std::string>(), "\"");
  for (const auto& [split, key] :
       {std::pair("train", "last_train"), std::pair("validation", "last_validation")}) {
    const std::string labels = absl::StrCat(label, ",split=\"", split, "\"}");
    EXPECT_DOUBLE_EQ(MetricValue(metrics, "vitd_training_loss" + labels).value_or(-1),
                     run[key]["loss"]);
    EXPECT_DOUBLE_EQ(MetricValue(metrics, "vitd_training_accuracy_ratio" + labels).value_or(-1),
                     run[key]["accuracy"]);
  }
  EXPECT_DOUBLE_EQ(
      MetricValue(metrics, absl::StrCat("vitd_training_learning_rate", label, "}")).value_or(-1),
      run["last_train"]["learning_rate"]);

  for (const char* extension : {".png", ".jpg", ".webp", ".bmp"}) {
    const std::string file = absl::StrCat("image", extension);
    folder.Write(file, Encode(SmoothImage(50, 40), extension));
    const auto [classify_code, answer] =
        daemon.Vitctl({"-o", "json", "classify", (folder.path() / file).string(), "--top-k", "3"});
    ASSERT_EQ(classify_code, 0) << answer;
    const nlohmann::json result = nlohmann::json::parse(answer)["results"][0];
    EXPECT_EQ(result["classes"].size(), 3u) << answer;
    EXPECT_EQ(result["model"]["run"], run["id"]);
    EXPECT_EQ(absl::StrCat(result["model"]["step"].get<int64_t>()),
              run["best_checkpoint"]["step"].get<std::string>());
  }
  folder.Write("notes.jpg", "not an image");
  EXPECT_EQ(daemon.Vitctl({"classify", (folder.path() / "notes.jpg").string()}).first, 2);

  daemon.process().Kill(SIGTERM);
  EXPECT_EQ(daemon.process().Wait(), 0) << daemon.process().standard_error();
  EXPECT_FALSE(fs::exists(daemon.state_dir() / "vitd.ports"));
}

TEST(EndToEndTest, BadStartsExitWithACodeAndOneClearLine) {
  TemporaryFolder folder;
  const std::string vitd = absl::StrCat(VIT_BIN_DIR, "/vitd");
  Process help({vitd, "--help"});
  EXPECT_EQ(help.Wait(), 0);
  EXPECT_THAT(help.standard_output(), HasSubstr("--state-dir"));
  Process misspelt({vitd, "--state-dirs=/x"});
  EXPECT_EQ(misspelt.Wait(), 2);
  EXPECT_THAT(misspelt.standard_error(), HasSubstr("--state-dirs"));
  Process device({vitd, "--state-dir", (folder.path() / "none").string(), "--device=gpu"});
  EXPECT_EQ(device.Wait(), 2);
  EXPECT_THAT(device.standard_error(), HasSubstr("'gpu'"));
  EXPECT_FALSE(fs::exists(folder.path() / "none"));
  folder.Write("file", "");
  Process unwritable({vitd, "--state-dir", (folder.path() / "file" / "state").string()});
  EXPECT_EQ(unwritable.Wait(), 1);
  EXPECT_THAT(unwritable.standard_error(), HasSubstr("state directory"));

  TestDaemon daemon(folder.path() / "state");
  ASSERT_NO_FATAL_FAILURE(daemon.Start());
  Process second({vitd, "--state-dir", daemon.state_dir().string(), "--listen", "127.0.0.1:0"});
  EXPECT_EQ(second.Wait(), 1);
  EXPECT_THAT(second.standard_error(), HasSubstr("another vitd uses it"));
  Process port({vitd, "--device", "cpu", "--state-dir", (folder.path() / "other").string(),
                "--metrics-listen", "127.0.0.1:0", "--listen",
                absl::StrCat("127.0.0.1:", daemon.grpc_port())});
  EXPECT_EQ(port.Wait(), 1);
  EXPECT_THAT(port.standard_error(), HasSubstr("another process"));
  const std::string lines = port.standard_error();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 1) << lines;
  EXPECT_EQ(daemon.Vitctl({"health"}).first, 0) << "the first one is none the worse";
}

TEST(EndToEndTest, VitctlSpeaksToASocket) {
  TemporaryFolder folder;
  const std::string address = absl::StrCat("unix:", folder.root(), "/vitd.sock");
  Process vitd({absl::StrCat(VIT_BIN_DIR, "/vitd"), "--state-dir",
                (folder.path() / "state").string(), "--listen", address, "--metrics-listen",
                "127.0.0.1:0"});
  ASSERT_TRUE(vitd.AwaitLine("ready grpc=" + address));
  Process health({absl::StrCat(VIT_BIN_DIR, "/vitctl"), "--server", address, "health"});
  EXPECT_EQ(health.Wait(), 0) << health.standard_error();
  vitd.Kill(SIGTERM);
  EXPECT_EQ(vitd.Wait(), 0);
  EXPECT_FALSE(fs::exists(folder.path() / "vitd.sock"));
}

TEST(EndToEndTest, JsonLogIsJsonToTheLastLine) {
  TemporaryFolder folder;
  Process vitd({absl::StrCat(VIT_BIN_DIR, "/vitd"), "--state-dir",
                (folder.path() / "state").string(), "--listen", "127.0.0.1:0", "--metrics-listen",
                "127.0.0.1:0", "--log-format", "json"});
  ASSERT_TRUE(vitd.AwaitLine("\"ready\""));
  vitd.Kill(SIGINT);
  EXPECT_EQ(vitd.Wait(), 0);
  const std::string log = vitd.standard_error();
  for (const absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    EXPECT_TRUE(nlohmann::json::accept(line.begin(), line.end())) << line;
  }
  EXPECT_THAT(log, HasSubstr("\"stopped\""));
}

TEST(EndToEndTest, SigtermInMidRunLeavesACheckpointAndTheNextStartGoesOn) {
  TemporaryFolder folder;
  TestDaemon daemon(folder.path() / "state");
  ASSERT_NO_FATAL_FAILURE(daemon.Start());
  vit::v1::Run run;
  {
    Client client(daemon.grpc_port());
    vit::v1::TrainingSpec spec = TinySpec(600);
    spec.mutable_evaluation()->set_every_steps(100);
    run = client.Start(spec);
    client.AwaitStep(run.id(), 30);
  }
  daemon.process().Kill(SIGTERM);
  daemon.process().Kill(SIGINT);  // `timeout` and terminals send more than one
  EXPECT_EQ(daemon.process().Wait(), 0);
  EXPECT_THAT(daemon.process().standard_error(), HasSubstr("run interrupted"));
  ASSERT_NO_FATAL_FAILURE(daemon.Start());
  const vit::v1::Run done = Client(daemon.grpc_port()).AwaitEnd(run.id());
  EXPECT_EQ(done.state(), vit::v1::RUN_STATE_SUCCEEDED) << done.message();
  EXPECT_EQ(done.step(), 600);
}

// A vitd whose start does not end: it waits for its database.
class SlowStart {
 public:
  SlowStart(const fs::path& state_dir, const std::string& drain_timeout) {
    fs::create_directories(state_dir);
    EXPECT_EQ(sqlite3_open((state_dir / "runs.db").c_str(), &database_), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database_, "BEGIN EXCLUSIVE", nullptr, nullptr, nullptr), SQLITE_OK);
    vitd_ = std::make_unique<Process>(std::vector<std::string>{
        absl::StrCat(VIT_BIN_DIR, "/vitd"), "--state-dir", state_dir.string(), "--listen",
        "0.0.0.0:0", "--metrics-listen", "127.0.0.1:0", "--drain-timeout", drain_timeout});
    EXPECT_TRUE(vitd_->AwaitLine("listening beyond this machine"));
  }
  ~SlowStart() { sqlite3_close(database_); }
  Process& vitd() { return *vitd_; }

 private:
  sqlite3* database_ = nullptr;
  std::unique_ptr<Process> vitd_;
};

TEST(EndToEndTest, SignalDuringASlowStartEndsItWithinTheDrainTimeout) {
  TemporaryFolder folder;
  SlowStart slow(folder.path() / "state", "1s");
  slow.vitd().Kill(SIGTERM);
  EXPECT_EQ(slow.vitd().Wait(), 0);
  EXPECT_THAT(slow.vitd().standard_error(), HasSubstr("drain timeout passed"));
}

TEST(EndToEndTest, SecondSignalEndsAtOnce) {
  TemporaryFolder folder;
  SlowStart slow(folder.path() / "state", "5m");
  Process& vitd = slow.vitd();
  vitd.Kill(SIGTERM);
  do {
    vitd.Kill(SIGINT);
  } while (!vitd.EndsWithin(absl::Milliseconds(100)));
  EXPECT_EQ(vitd.Wait(), 128 + SIGINT);
  EXPECT_THAT(vitd.standard_error(), HasSubstr("second signal; exiting at once"));
}

// Everything random that a run may have, images from a folder, one of them damaged.
vit::v1::TrainingSpec RestlessSpec(const fs::path& data, int steps) {
  vit::v1::TrainingSpec spec = TinySpec(steps);
  spec.mutable_data()->set_source("folder:" + data.string());
  spec.mutable_data()->set_max_bad_fraction(0.5);
  spec.mutable_data()->mutable_train()->set_crop(vit::v1::TRAIN_CROP_RANDOM_RESIZED);
  spec.mutable_data()->mutable_train()->set_horizontal_flip(0.5);
  spec.mutable_model()->set_depth(2);
  spec.mutable_model()->set_drop_rate(0.1);
  spec.mutable_model()->set_pos_drop_rate(0.1);
  spec.mutable_model()->set_proj_drop_rate(0.1);
  spec.mutable_model()->set_attn_drop_rate(0.1);
  spec.mutable_model()->set_drop_path_rate(0.2);
  vit::v1::TrainTransform* train = spec.mutable_data()->mutable_train();
  train->set_auto_augment("rand-m9-mstd0.5-inc1");
  train->mutable_random_erasing()->set_probability(0.25);
  spec.mutable_data()->set_sampler(vit::v1::SAMPLER_CLASS_BALANCED);
  spec.mutable_data()->set_repeats(2);
  spec.mutable_mixing()->set_mixup_alpha(0.8);
  spec.mutable_mixing()->set_cutmix_alpha(1);
  spec.mutable_mixing()->set_mode(vit::v1::MIX_MODE_ELEMENT);
  spec.mutable_averaging()->set_ema_decay(0.99);
  spec.mutable_averaging()->set_swa_start_epoch(20);
  spec.mutable_averaging()->set_swa_every_steps(6);
  spec.mutable_averaging()->set_swa_learning_rate(1e-4);
  spec.mutable_optimizer()->set_type(vit::v1::OPTIMIZER_TYPE_LAMB);
  spec.mutable_optimizer()->set_layer_decay(0.75);
  spec.set_batch_size(8);
  spec.set_accumulation_steps(2);
  spec.set_label_smoothing(0.1);
  spec.set_log_every_steps(3);
  spec.mutable_evaluation()->set_every_steps(7);
  spec.mutable_checkpoint()->set_every_steps(5);
  return spec;
}

void WriteRestlessData(const TemporaryFolder& folder) {
  for (int label = 0; label < 3; ++label) {
    for (int i = 0; i < 10; ++i) {
      const std::string name =
          absl::StrCat("data/", i < 7 ? "train" : "val", "/class", label, "/", i, ".png");
      folder.Write(name, Encode(SmoothImage(20 + label, 20 + i, label * 100 + i), ".png"));
    }
  }
  const std::string jpeg = Encode(SmoothImage(24, 24, 5), ".jpg");
  folder.Write("data/train/class1/truncated.jpg", jpeg.substr(0, jpeg.size() / 2));
}

// What must be the same, as text; times and speeds may differ.
std::vector<std::string> Comparable(std::vector<vit::v1::MetricPoint> history) {
  std::vector<std::string> lines;
  for (vit::v1::MetricPoint& point : history) {
    point.clear_time();
    point.clear_images_per_second();
    lines.push_back(point.SerializeAsString());
  }
  return lines;
}

// Trains the same spec twice, once undisturbed and once killed `kills` times (every third at any
// moment, the others while a checkpoint is written) and restarted with another number of loader
// threads each time.
void ExpectKilledRunEndsAsIfItHadNotBeen(int kills, int steps) {
  TemporaryFolder folder;
  WriteRestlessData(folder);
  const vit::v1::TrainingSpec spec = RestlessSpec(folder.path() / "data", steps);
  const std::vector<std::string> flags = {"--data-root", (folder.path() / "data").string()};

  TestDaemon calm(folder.path() / "calm", flags);
  ASSERT_NO_FATAL_FAILURE(calm.Start());
  Client calm_client(calm.grpc_port());
  const vit::v1::Run expected = calm_client.AwaitEnd(calm_client.Start(spec).id());
  ASSERT_EQ(expected.state(), vit::v1::RUN_STATE_SUCCEEDED) << expected.message();
  EXPECT_EQ(expected.bad_images(), 1);

  const unsigned seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937 random(seed);
  TestDaemon restless(folder.path() / "restless", flags);
  ASSERT_NO_FATAL_FAILURE(restless.Start());
  const vit::v1::Run run = Client(restless.grpc_port()).Start(spec);
  for (int kill = 0; kill < kills; ++kill) {
    // A whole checkpoint first, so that every start gets further than the one before.
    ASSERT_TRUE(restless.process().AwaitLine("checkpoint written"));
    CheckpointWatch watch(restless.RunDirectory(run.id()));
    int64_t writing = 0;
    if (kill % 3 == 0) {
      Client client(restless.grpc_port());
      client.AwaitStep(run.id(),
                       client.Status(run.id()).run().step() + 1 + static_cast<int>(random() % 20));
    } else {
      writing = watch.AwaitWriting(1 + static_cast<int>(random() % 4));
    }
    restless.process().Kill(SIGKILL);
    EXPECT_EQ(restless.process().Wait(), 128 + SIGKILL);
    ASSERT_LT(writing, expected.step()) << "killed too late to show anything";
    ASSERT_THAT(restless.process().standard_error(), Not(HasSubstr("run succeeded")));
    ASSERT_NO_FATAL_FAILURE(restless.Start({"--loader-threads", absl::StrCat(1 + (kill + 1) % 5)}));
  }
  Client client(restless.grpc_port());
  const vit::v1::Run done = client.AwaitEnd(run.id());
  ASSERT_EQ(done.state(), vit::v1::RUN_STATE_SUCCEEDED) << done.message();
  EXPECT_EQ(done.message(), "") << "resumed exactly";
  for (const char* file :
       {"model.safetensors", "optimizer.safetensors", "labels.txt", "config.json"}) {
    EXPECT_TRUE(ReadAll(CheckpointDirectory(calm, expected, expected.step()) / file) ==
                ReadAll(CheckpointDirectory(restless, done, done.step()) / file))
        << file << " differs";
  }
  EXPECT_EQ(done.best_checkpoint().step(), expected.best_checkpoint().step());
  const auto expected_history = calm_client.History(expected.id());
  EXPECT_GT(expected_history.size(), 100u);
  EXPECT_EQ(Comparable(client.History(run.id())), Comparable(expected_history));
}

TEST(EndToEndTest, KilledRunEndsByteForByteAsIfItHadNotBeen) {
  ExpectKilledRunEndsAsIfItHadNotBeen(/*kills=*/3, /*steps=*/240);
}

// The long form: e2e_test --gtest_also_run_disabled_tests --gtest_filter='*TenTimes*'
TEST(EndToEndTest, DISABLED_RunKilledTenTimesEndsByteForByteAsIfItHadNotBeen) {
  ExpectKilledRunEndsAsIfItHadNotBeen(/*kills=*/10, /*steps=*/1500);
}

// Files of `pid` may grow to `bytes` from now on; writing more fails, as on a full disk.
void LimitFiles(pid_t pid, rlim_t bytes) {
  rlimit limit = {};
  ASSERT_EQ(prlimit(pid, RLIMIT_FSIZE, nullptr, &limit), 0);
  limit.rlim_cur = bytes;
  ASSERT_EQ(prlimit(pid, RLIMIT_FSIZE, &limit, nullptr), 0);
}

TEST(EndToEndTest, FullDiskFailsTheRunCleanlyAndKeepsThePreviousCheckpoint) {
  TemporaryFolder folder;
  TestDaemon daemon(folder.path() / "state");
  ASSERT_NO_FATAL_FAILURE(daemon.Start());
  Client client(daemon.grpc_port());
  vit::v1::TrainingSpec spec = TinySpec(150);
  spec.mutable_model()->set_embed_dim(256);  // a checkpoint of 9 MB, the optimizer's file 6 MB
  spec.mutable_model()->set_num_heads(4);
  spec.mutable_evaluation()->set_every_steps(0);
  spec.mutable_checkpoint()->set_every_steps(10);
  const vit::v1::Run run = client.Start(spec);
  ASSERT_TRUE(daemon.process().AwaitLine("checkpoint written"));
  // The database stays below this, a checkpoint does not.
  LimitFiles(daemon.process().pid(), 5 << 20);
  ASSERT_TRUE(daemon.process().AwaitLine("checkpoint not written")) << "training continues";
  const vit::v1::Run failed = client.AwaitEnd(run.id());
  EXPECT_EQ(failed.state(), vit::v1::RUN_STATE_FAILED);
  EXPECT_THAT(failed.message(), HasSubstr("checkpoint"));
  const int64_t kept = failed.last_checkpoint().step();
  ASSERT_GT(kept, 0);
  EXPECT_LT(kept, 150);
  for (const auto& entry : fs::directory_iterator(daemon.RunDirectory(run.id()) / "checkpoints")) {
    EXPECT_NE(entry.path().extension(), ".tmp") << "left behind";
  }
  vit::v1::ClassifyResponse answer;
  const grpc::Status classified =
      client.Classify({Encode(SmoothImage(20, 20), ".png")}, "", &answer);
  EXPECT_TRUE(classified.ok()) << classified.error_message();

  LimitFiles(daemon.process().pid(), RLIM_INFINITY);
  const auto [code, output] = daemon.Vitctl({"resume", run.id()});
  ASSERT_EQ(code, 0) << output;
  EXPECT_EQ(client.AwaitEnd(run.id()).state(), vit::v1::RUN_STATE_SUCCEEDED);
}

}  // namespace
}  // namespace vit
