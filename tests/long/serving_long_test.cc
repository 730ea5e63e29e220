// Minutes of calls: while versions of a model replace each other, at ten times what the machine can
// do, and from clients that are killed. The figures are printed; what is checked holds on a noisy
// machine too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <fstream>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "core/base/mutex.h"
#include "tests/core/data/testing.h"
#include "tests/e2e/process.h"
#include "tests/server/testing.h"

namespace vit {
namespace {

constexpr int kClients = 16;

// vit_tiny_patch16_224 with 100 classes.
vit::v1::TrainingSpec VitTiny(int seed) {
  vit::v1::TrainingSpec spec = TinySpec(2);
  vit::v1::ModelConfig* model = spec.mutable_model();
  model->set_image_size(224);
  model->set_patch_size(16);
  model->set_embed_dim(192);
  model->set_depth(12);
  model->set_num_heads(3);
  spec.set_batch_size(4);
  spec.set_seed(seed);
  return spec;
}

int64_t ResidentBytes(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/statm"));
  int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

double Percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<size_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[at];
}

class ServingLongTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(daemon_.Start());
    client_ = std::make_unique<Client>(daemon_.grpc_port());
    for (int i = 0; i < 8; ++i) {
      images_.push_back(Encode(SmoothImage(320, 240, i), ".jpg"));
      folder_.Write(absl::StrCat("images/", i, ".jpg"), images_.back());
    }
  }

  // Trains two steps and publishes them as `name`. Returns the run.
  std::string Train(int seed, const std::string& name) {
    const std::string run = client_->Start(VitTiny(seed)).id();
    client_->AwaitEnd(run);
    Publish(run, name);
    return run;
  }
  void Publish(const std::string& run, const std::string& name) {
    vit::v1::PublishRunRequest request;
    request.set_run(run);
    request.set_name(name);
    request.set_precision(vit::v1::PRECISION_CHOICE_AUTO);
    vit::v1::PublishRunResponse response;
    const grpc::Status status =
        client_->models().PublishRun(NewContext().get(), request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  // What vitctl bench prints.
  nlohmann::json Bench(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"-o", "json", "bench"});
    const auto [code, text] = daemon_.Vitctl(std::move(arguments));
    const nlohmann::json printed = nlohmann::json::parse(text, nullptr, false);
    EXPECT_TRUE(printed.is_object()) << code << ": " << text;
    return printed;
  }

  double Metric(const std::string& series) {
    return MetricValue(HttpGet(daemon_.metrics_port(), "/metrics"), series).value_or(0);
  }
  // Sums the series of that name, over the labels.
  double Sum(const std::string& name, const std::string& label = "") {
    double sum = 0;
    for (const auto line : absl::StrSplit(HttpGet(daemon_.metrics_port(), "/metrics"), '\n')) {
      if (!absl::StartsWith(line, name + "{") || !absl::StrContains(line, label)) continue;
      sum += std::stod(std::string(line.substr(line.rfind(' ') + 1)));
    }
    return sum;
  }

  TemporaryFolder folder_;
  TestDaemon daemon_{folder_.path() / "state", {}, /*threads=*/0};
  std::unique_ptr<Client> client_;
  std::vector<std::string> images_;
};

// The latencies of clients that call until they are stopped, in seconds.
class Callers {
 public:
  // `check` sees every answer to image `i`, on the callers' threads.
  Callers(int port, const std::vector<std::string>& images, const std::string& model,
          std::function<void(size_t i, const vit::v1::ClassifyResponse&)> check) {
    for (int caller = 0; caller < kClients; ++caller) {
      threads_.emplace_back([=, this] {
        Client client(port);
        for (size_t i = caller; !stop_; ++i) {
          const size_t image = i % images.size();
          vit::v1::ClassifyResponse response;
          const absl::Time start = absl::Now();
          const grpc::Status status = client.Classify({images[image]}, model, &response);
          const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
          EXPECT_TRUE(status.ok()) << status.error_code() << ": " << status.error_message();
          if (!status.ok()) return;
          check(image, response);
          MutexLock lock(&mu_);
          latencies_.push_back(seconds);
        }
      });
    }
  }
  std::vector<double> Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    MutexLock lock(&mu_);
    return latencies_;
  }
  ~Callers() { Stop(); }

 private:
  std::atomic<bool> stop_ = false;
  Mutex mu_;
  std::vector<double> latencies_ VIT_GUARDED_BY(mu_);
  std::vector<std::thread> threads_;
};

TEST_F(ServingLongTest, VersionsReplaceEachOtherUnderClients) {
  constexpr int kSwaps = 120;
  const std::array<std::string, 2> runs = {Train(1, "pets"), Train(2, "other")};
  // By the parity of the version: what each image's answer is.
  std::array<std::vector<std::string>, 2> expected;
  for (const int version : {0, 1}) {
    for (const std::string& image : images_) {
      vit::v1::ClassifyResponse response;
      ASSERT_TRUE(client_->Classify({image}, version == 1 ? "pets" : "other", &response).ok());
      expected[version].push_back(response.results(0).SerializeAsString());
    }
  }
  ASSERT_NE(expected[0].front(), expected[1].front());
  std::atomic<int64_t> newest = 0;
  const auto check = [&](size_t image, const vit::v1::ClassifyResponse& response) {
    const int64_t version = response.model().version();
    EXPECT_EQ(response.results(0).SerializeAsString(), expected[version % 2][image]) << version;
    for (int64_t known = newest;
         known < version && !newest.compare_exchange_weak(known, version);) {
    }
  };

  std::vector<double> without;
  {
    Callers callers(daemon_.grpc_port(), images_, "pets", check);
    absl::SleepFor(absl::Seconds(30));
    without = callers.Stop();
  }
  std::vector<double> with;
  std::vector<int64_t> resident;
  {
    Callers callers(daemon_.grpc_port(), images_, "pets", check);
    const absl::Time start = absl::Now();
    for (int swap = 1; swap <= kSwaps; ++swap) {
      Publish(runs[swap % 2], "pets");  // version swap + 1
      absl::SleepFor(start + absl::Seconds(swap) - absl::Now());
      resident.push_back(ResidentBytes(daemon_.process().pid()));
    }
    with = callers.Stop();
  }
  const auto mean = [&](size_t first, size_t last) {
    return static_cast<double>(
               std::accumulate(resident.begin() + first, resident.begin() + last, int64_t{0})) /
           static_cast<double>(last - first) / 1e6;
  };
  const double early = mean(kSwaps / 4, kSwaps / 2), late = mean(kSwaps * 3 / 4, kSwaps);
  std::cout << absl::StrFormat(
      "%d clients without swaps: %d calls, p50 %.1f ms, p99 %.1f ms\n"
      "one swap a second: %d calls, p50 %.1f ms, p99 %.1f ms, version %d of %d served\n"
      "resident: %.0f MB in the second quarter, %.0f MB in the last\n",
      kClients, without.size(), Percentile(without, 0.5) * 1e3, Percentile(without, 0.99) * 1e3,
      with.size(), Percentile(with, 0.5) * 1e3, Percentile(with, 0.99) * 1e3, newest.load(),
      kSwaps + 1, early, late);
  EXPECT_GE(newest, kSwaps * 3 / 4);
  EXPECT_LT(late, early + 40);
}

TEST_F(ServingLongTest, AnOverloadedDaemonRefusesAtOnceAndComputesWhatItCan) {
  Train(1, "pets");
  const auto bench = [&](std::vector<std::string> more) {
    more.insert(more.begin(),
                {"pets", (folder_.path() / "images").string(), "--batch", "16", "--warm-up", "0s"});
    return Bench(more)["measurements"][0];
  };
  const auto rate = [&]() -> double {
    return bench({"--clients", "4", "--duration", "10s"})["images_per_second"];
  };
  const double capacity = rate();
  const double before = Sum("vitd_inference_batch_size_sum");
  const nlohmann::json overload =
      bench({"--duration", "60s", "--rate", absl::StrCat(capacity * 10 / 16), "--clients", "256"});
  const double computed = Sum("vitd_inference_batch_size_sum") - before;
  const double answered = 16 * overload["requests"].get<double>();
  std::cout << "capacity " << capacity << " images/s; at 10 times:\n"
            << overload.dump(2) << "\n"
            << computed << " images computed, " << answered << " answered\n";
  ASSERT_TRUE(overload["errors"].contains("RESOURCE_EXHAUSTED"));
  EXPECT_EQ(overload["errors"].size(), 1);
  EXPECT_GT(overload["errors"]["RESOURCE_EXHAUSTED"]["requests"], overload["requests"]);
  // What was given up was not computed, but for what the device had already begun.
  EXPECT_LT(computed, answered * 1.05 + 16 * 2 * kClients);
  std::cout << "after it: " << rate() << " images/s\n";
}

TEST_F(ServingLongTest, ClientsKilledInMidCallLeaveNothingBehind) {
  Train(1, "pets");
  const auto clients = [&] {
    return Process({absl::StrCat(VIT_BIN_DIR, "/vitctl"), "--server",
                    absl::StrCat("127.0.0.1:", daemon_.grpc_port()), "bench", "pets", "--clients",
                    absl::StrCat(kClients), "--batch", "16", "--duration", "60s"});
  };
  std::vector<int64_t> resident;
  for (int round = 0; round < 120; ++round) {
    const auto answered = [&] { return Sum("vitd_inference_requests_total", "code=\"OK\""); };
    const double before = answered();
    Process killed = clients();  // each begins with a call of its own for the connection
    const absl::Time give_up = absl::Now() + absl::Seconds(60);
    while (answered() < before + 2 * kClients) {
      ASSERT_LT(absl::Now(), give_up) << killed.standard_error();
      absl::SleepFor(absl::Milliseconds(10));
    }
    killed.Kill(SIGKILL);
    killed.Wait();
    resident.push_back(ResidentBytes(daemon_.process().pid()));
  }
  const absl::Time give_up = absl::Now() + absl::Seconds(10);
  while (Sum("vitd_inference_queue_depth") > 0 && absl::Now() < give_up) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  std::cout << "resident after 30, 60, 90, 120 kills: ";
  for (const int kills : {30, 60, 90, 120}) std::cout << resident[kills - 1] / 1'000'000 << " ";
  std::cout << "MB; " << Sum("vitd_inference_evictions_total") << " images evicted\n";
  EXPECT_EQ(Sum("vitd_inference_queue_depth"), 0);
  EXPECT_GT(Sum("vitd_inference_evictions_total"), 0);
  EXPECT_LT(resident.back(), resident[29] + 50'000'000);
  vit::v1::ClassifyResponse response;
  EXPECT_TRUE(client_->Classify(images_, "pets", &response).ok());
}

}  // namespace
}  // namespace vit
