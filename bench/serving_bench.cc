// Measures the daemon's answers while it trains: how long Status takes, and how many images 8
// clients can classify, compared with the same without training. Starts the vitd beside this
// program, on free ports and with a temporary state directory.
//
//   serving_bench [--device DEVICE] [--quick]
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/lib/client.h"
#include "core/base/file.h"
#include "core/data/dataset.h"
#include "core/data/image/png.h"
#include "nlohmann/json.hpp"
#include "proto/set_field.h"

namespace vit::bench {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "serving_bench: %s\n", message.c_str());
  std::exit(1);
}

// A separate vitd, as long as this object exists.
class Daemon {
 public:
  explicit Daemon(const std::string& device)
      : state_dir_(fs::temp_directory_path() / absl::StrCat("serving_bench.", getpid())) {
    // In a build beside this program, in a bundle in bin/.
    const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
    const fs::path vitd = fs::exists(here / "vitd") ? here / "vitd" : here / "../../bin/vitd";
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // however this program ends
      execl(vitd.c_str(), "vitd", "--state-dir", state_dir_.c_str(), "--listen", "127.0.0.1:0",
            "--metrics-listen", "127.0.0.1:0", "--log-level", "error", "--device", device.c_str(),
            nullptr);
      _exit(127);
    }
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    const fs::path ports = state_dir_ / "vitd.ports";
    while (!fs::exists(ports)) {
      if (absl::Now() > deadline || waitpid(pid_, nullptr, WNOHANG) != 0) Die("vitd did not start");
      absl::SleepFor(absl::Milliseconds(10));
    }
    port_ = nlohmann::json::parse(*ReadFile(ports, 4096))["grpc"];
  }
  ~Daemon() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    fs::remove_all(state_dir_);
  }
  std::unique_ptr<VitClient> Connect() const {
    return *VitClient::Create(
        {.server = absl::StrCat("127.0.0.1:", port_), .timeout = absl::Minutes(2)});
  }

 private:
  const fs::path state_dir_;
  pid_t pid_;
  int port_ = 0;
};

struct Latencies {
  std::vector<double> ms;
  double seconds = 0;

  double Quantile(double q) {
    std::sort(ms.begin(), ms.end());
    return ms[std::min(ms.size() - 1, static_cast<size_t>(q * static_cast<double>(ms.size())))];
  }
  void Print(const char* what) {
    std::printf("  %-34s %8.1f calls/s  p50 %7.2f ms  p99 %7.2f ms\n", what,
                static_cast<double>(ms.size()) / seconds, Quantile(0.5), Quantile(0.99));
  }
};

// `clients` threads make `calls` calls in total, each thread one after another.
Latencies Measure(const Daemon& daemon, int clients, int calls,
                  const std::function<absl::Status(VitClient&)>& call) {
  std::atomic<int> left{calls};
  std::vector<std::vector<double>> ms(clients);
  std::vector<std::thread> threads;
  threads.reserve(clients);
  const absl::Time start = absl::Now();
  for (int c = 0; c < clients; ++c) {
    threads.emplace_back([&, c] {
      const std::unique_ptr<VitClient> client = daemon.Connect();
      while (left.fetch_sub(1) > 0) {
        const absl::Time begin = absl::Now();
        if (const absl::Status status = call(*client); !status.ok()) Die(status.ToString());
        ms[c].push_back(absl::ToDoubleMilliseconds(absl::Now() - begin));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Latencies all;
  all.seconds = absl::ToDoubleSeconds(absl::Now() - start);
  for (const auto& part : ms) all.ms.insert(all.ms.end(), part.begin(), part.end());
  return all;
}

std::string ShapePng() {
  vit::v1::DataConfig config;
  config.set_source("shapes:");
  const auto data = DataSet::Open(config, {.image_size = 32});
  const Image image = *(*data)->Load(DataSplit::kValidation, 0, 0);
  return *EncodePng(image.rgb.data(), image.width, image.height, ChannelOrder::kRgb);
}

// Trains cifar10_small's model on shapes. Returns the run once it is `reached`.
std::string StartRun(VitClient& client, const std::vector<std::string>& assignments,
                     const std::function<bool(const vit::v1::Run&)>& reached) {
  vit::v1::StartTrainingRequest request;
  request.set_preset("cifar10_small");
  request.mutable_spec()->mutable_data()->set_source("shapes:");
  request.mutable_spec()->mutable_data()->mutable_shapes()->set_val_size(100);
  for (const std::string& assignment : assignments) {
    if (const absl::Status status = SetField(assignment, request.mutable_spec()); !status.ok()) {
      Die(status.ToString());
    }
  }
  const auto started = client.StartTraining(request);
  if (!started.ok()) Die(started.status().ToString());
  vit::v1::WatchRequest watch_request;
  watch_request.set_run(started->run().id());
  const std::unique_ptr<WatchStream> watch = client.Watch(watch_request);
  vit::v1::WatchResponse update;
  while (watch->Next(absl::InfiniteFuture(), &update) == WatchStream::Event::kUpdate) {
    if (update.run().state() == vit::v1::RUN_STATE_FAILED) Die(update.run().message());
    if (reached(update.run())) break;
  }
  watch->Cancel();
  return started->run().id();
}

// `part`: the fraction to make of the calls of a full run.
void Run(const std::string& device, double part) {
  Daemon daemon(device);
  const std::unique_ptr<VitClient> client = daemon.Connect();
  const std::string served = StartRun(*client, {"max_steps=20"}, [](const vit::v1::Run& run) {
    return run.state() == vit::v1::RUN_STATE_SUCCEEDED;
  });
  // One epoch, so that training is not interrupted by evaluations and checkpoints.
  const std::string run = StartRun(
      *client, {"max_steps=1000000", "data.shapes.train_size=2000000", "checkpoint.every_steps=0"},
      [](const vit::v1::Run& run) { return run.step() > 0; });
  vit::v1::ClassifyRequest classify;
  classify.add_images(ShapePng());
  classify.set_model("run:" + served);
  const auto status_call = [&](VitClient& c) { return c.Status({}).status(); };
  const auto classify_call = [&](VitClient& c) { return c.Classify(classify).status(); };
  if (const absl::Status first = classify_call(*client); !first.ok()) Die(first.ToString());

  std::printf("cifar10_small's model, images of 32 x 32\n");
  Measure(daemon, 1, static_cast<int>(2000 * part), status_call)
      .Print("Status while it trains (goal 50 ms)");
  Measure(daemon, 1, static_cast<int>(200 * part), classify_call)
      .Print("Classify while it trains, 1 client");
  Measure(daemon, 8, static_cast<int>(1000 * part), classify_call)
      .Print("Classify while it trains, 8 clients");
  vit::v1::StopRunRequest stop;
  stop.set_run(run);
  if (const auto stopped = client->StopRun(stop); !stopped.ok()) Die(stopped.status().ToString());
  const std::unique_ptr<WatchStream> watch = client->Watch({});
  vit::v1::WatchResponse update;
  while (watch->Next(absl::InfiniteFuture(), &update) == WatchStream::Event::kUpdate) {
  }
  Measure(daemon, 1, static_cast<int>(2000 * part), status_call).Print("Status, idle");
  Measure(daemon, 1, static_cast<int>(500 * part), classify_call).Print("Classify, idle, 1 client");
  Measure(daemon, 8, static_cast<int>(2000 * part), classify_call)
      .Print("Classify, idle, 8 clients");
}

}  // namespace
}  // namespace vit::bench

int main(int argc, char** argv) {
  CLI::App app("Measures vitd's answers while it trains and while it does not.");
  std::string device = "auto";
  bool quick = false;
  app.add_option("--device", device, "auto, cpu, cuda or cuda:N");
  app.add_flag("--quick", quick, "a twentieth of the calls");
  CLI11_PARSE(app, argc, argv);
  vit::bench::Run(device, quick ? 0.05 : 1);
}
