#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/files.h"
#include "client/vitctl/images/image_paths.h"
#include "client/vitctl/images/priority_option.h"
#include "client/vitctl/load/classify_target.h"
#include "client/vitctl/load/load_text.h"
#include "client/vitctl/load/sample_images.h"
#include "client/vitctl/view/model_text.h"
#include "client/vitctl/view/text.h"

namespace vit {
namespace {

constexpr int kSampleImages = 16;
constexpr size_t kMaxImageBytes = size_t{1} << 30;
// Connections of an open loop: what a server can answer in time seldom has more requests in flight.
constexpr int kOpenLoopClients = 64;
constexpr int kMaxRate = 1000000;

struct BenchOptions {
  std::string model;
  std::vector<std::string> files;
  std::vector<int> clients;
  std::vector<double> rates;
  std::string arrivals = "poisson";
  std::string duration = "10s";
  int64_t requests = 0;  // 0: for `duration`
  std::string warm_up = "1s";
  int batch = 1;
  int image_size = 224;
  int top_k = 5;
  std::string priority;
};

// "" if `text` is a duration; else what is wrong with it.
std::string CheckDuration(const std::string& text) {
  const auto parsed = ParseTimeout(text);
  return parsed.ok() ? std::string() : std::string(parsed.status().message());
}

std::string CheckRate(const std::string& text) {
  double rate = 0;
  return absl::SimpleAtod(text, &rate) && rate > 0 && rate <= kMaxRate
             ? ""
             : absl::StrCat("'", text, "' is not a number above 0 and up to ", kMaxRate);
}

std::string CheckWarmUp(const std::string& text) {
  return text == "0" || text == "0s" ? "" : CheckDuration(text);
}

absl::StatusOr<std::vector<NamedImage>> Images(const BenchOptions& options, std::istream& in) {
  std::vector<NamedImage> images;
  if (options.files.empty()) {
    for (int i = 0; i < kSampleImages; ++i) {
      images.push_back({.name = "a generated image", .bytes = SampleImage(options.image_size, i)});
    }
    return images;
  }
  size_t bytes = 0;
  for (const ImagePath& path : FindImages(options.files)) {
    const absl::StatusOr<std::string> image =
        path.status.ok() ? ReadImage(path.path, in) : path.status;
    if (!image.ok()) {
      return absl::Status(image.status().code(),
                          absl::StrCat(path.path, ": ", image.status().message()));
    }
    bytes += image->size();
    if (bytes > kMaxImageBytes) {
      return absl::InvalidArgumentError(absl::StrCat("the images have more than ",
                                                     FormatBytes(kMaxImageBytes),
                                                     ", and all are kept in memory; name fewer"));
    }
    images.push_back({.name = path.path, .bytes = *image});
  }
  return images;
}

std::vector<LoadOptions> Loads(const BenchOptions& options) {
  LoadOptions load;
  load.arrivals =
      options.arrivals == "constant" ? Arrivals::Kind::kConstant : Arrivals::Kind::kPoisson;
  load.warm_up = ParseTimeout(options.warm_up).value_or(absl::ZeroDuration());
  load.duration = ParseTimeout(options.duration).value_or(absl::ZeroDuration());
  if (options.requests > 0) load.requests = options.requests;
  std::vector<LoadOptions> loads;
  for (const double rate : options.rates) {
    loads.push_back(load);
    loads.back().rate = rate;
    loads.back().clients = options.clients.empty() ? kOpenLoopClients : options.clients[0];
  }
  if (!loads.empty()) return loads;
  for (const int clients : options.clients.empty() ? std::vector<int>{1} : options.clients) {
    loads.push_back(load);
    loads.back().clients = clients;
  }
  return loads;
}

std::string LoadName(const LoadOptions& load) {
  if (load.rate.has_value()) return absl::StrCat(*load.rate, " requests/s");
  return load.clients == 1 ? "1 client" : absl::StrCat(load.clients, " clients");
}

class Bench {
 public:
  Bench(Session& session, const BenchOptions& options) : session_(session), options_(options) {
    how_ = {.model = options.model,
            .top_k = options.top_k,
            .priority = PriorityOf(options.priority),
            .images_per_request = options.batch};
  }

  int Run() {
    if (!options_.rates.empty() && options_.clients.size() > 1) {
      return session_.Fail(
          absl::InvalidArgumentError("--clients: with --rate, one number of connections"));
    }
    auto images = Images(options_, *session_.io().in);
    if (!images.ok()) return session_.Fail(images.status());
    images_ = *std::move(images);
    const std::stop_token stop =
        session_.io().catch_interrupt ? session_.io().catch_interrupt() : std::stop_token();
    if (const absl::Status status = TryOnce(stop); !status.ok()) {
      return stop.stop_requested() ? kExitInterrupted : session_.Fail(status);
    }
    for (const LoadOptions& load : Loads(options_)) {
      if (const absl::Status status = Measure(load, stop); !status.ok()) {
        return session_.Fail(status);
      }
      if (stop.stop_requested()) break;
    }
    Print();
    if (stop.stop_requested()) return kExitInterrupted;
    int64_t succeeded = 0;
    for (const Measurement& measured : measurements_) succeeded += measured.report.succeeded();
    if (succeeded > 0) return kExitOk;
    for (const Measurement& measured : measurements_) {
      if (!measured.report.first_error.ok()) return session_.Fail(measured.report.first_error);
    }
    return session_.Fail(
        absl::DeadlineExceededError("no request was due in the time; raise --rate or --duration"));
  }

 private:
  // Loads the model, and finds what every request would fail by. Errors that come from the load of
  // others are left to be counted.
  absl::Status TryOnce(const std::stop_token& stop) {
    auto client = session_.Client(absl::Minutes(2));  // a model may have to be loaded first
    if (!client.ok()) return client.status();
    const auto response = ClassifyInTurn(**client, images_, how_, 0, stop);
    if (response.ok()) identity_ = response->model();
    const absl::StatusCode code = response.status().code();
    if (code == absl::StatusCode::kResourceExhausted ||
        code == absl::StatusCode::kDeadlineExceeded) {
      return absl::OkStatus();
    }
    return response.status();
  }

  absl::Status Measure(const LoadOptions& load, const std::stop_token& stop) {
    std::vector<std::unique_ptr<VitClient>> connections;
    for (int i = 0; i < load.clients; ++i) {
      auto client = session_.Connect(absl::Seconds(30));
      if (!client.ok()) return client.status();
      connections.push_back(*std::move(client));
    }
    ClassifyTarget target(images_, how_, std::move(connections));
    const bool live = session_.terminal().err_is_tty;
    if (live) session_.err() << "measuring " << LoadName(load) << " ..." << std::flush;
    SteadyLoadClock clock;
    LoadReport report = GenerateLoad(load, target, clock, stop);
    if (live) session_.err() << "\r\x1B[K" << std::flush;
    measurements_.push_back(
        {.options = load, .images_per_request = options_.batch, .report = std::move(report)});
    return absl::OkStatus();
  }

  void Print() const {
    if (session_.json()) {
      const nlohmann::ordered_json document = {{"model",
                                                {{"model", identity_.model()},
                                                 {"run", identity_.run()},
                                                 {"step", identity_.step()},
                                                 {"version", identity_.version()}}},
                                               {"images_per_request", options_.batch},
                                               {"measurements", LoadJson(measurements_)}};
      session_.out() << document.dump(1, ' ', false,
                                      nlohmann::ordered_json::error_handler_t::replace)
                     << "\n";
      return;
    }
    const Terminal& terminal = session_.terminal();
    session_.out()
        << LoadTable(measurements_).Render(terminal.columns(), terminal.color, terminal.utf8)
        << std::flush;
    if (terminal.out_is_tty && !identity_.model().empty()) {
      session_.out() << Paint(absl::StrCat("by ", IdentityText(identity_)), Style::kDim,
                              terminal.color)
                     << "\n";
    }
  }

  Session& session_;
  const BenchOptions& options_;
  ClassifyTarget::Options how_;
  std::vector<NamedImage> images_;
  vit::v1::ModelIdentity identity_;
  std::vector<Measurement> measurements_;
};

void AddLoadOptions(CLI::App* command, BenchOptions* options) {
  command->add_option("--clients", options->clients, "Users at once; 1,4,16 measures each")
      ->type_name("N")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 1000).description(""))
      ->default_str("1");
  command->add_option("--rate", options->rates, "Requests a second; 10,50 measures each")
      ->type_name("R")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CheckRate, "", "");
  command->add_option("--arrivals", options->arrivals, "poisson or constant, for --rate")
      ->type_name("ARRIVALS")
      ->check(CLI::IsMember({"poisson", "constant"}).description(""))
      ->capture_default_str();
  command->add_option("--duration", options->duration, "How long to measure each")
      ->type_name("DURATION")
      ->check(CheckDuration, "", "")
      ->capture_default_str();
  command->add_option("--requests", options->requests, "Measure so many requests instead")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40).description(""));
  command->add_option("--warm-up", options->warm_up, "Time before, not measured; 0 for none")
      ->type_name("DURATION")
      ->check(CheckWarmUp, "", "")
      ->capture_default_str();
}

}  // namespace

void AddBench(CLI::App& app, Session& session) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand("bench", "Measure how fast images are classified");
  command->add_option("MODEL", options->model, "NAME, NAME@VERSION, run:ID or latest")
      ->type_name("MODEL")
      ->required();
  command->add_option("FILE", options->files, "Images and folders to send; default: generated")
      ->type_name("PATH");
  AddLoadOptions(command, options.get());
  command->add_option("--batch", options->batch, "Images in a request")
      ->type_name("B")
      ->check(CLI::Range(1, 256).description(""))
      ->capture_default_str();
  command->add_option("--image-size", options->image_size, "Pixels of a side, if generated")
      ->type_name("PIXELS")
      ->check(CLI::Range(1, 4096).description(""))
      ->capture_default_str();
  command->add_option("--top-k", options->top_k, "Classes in an answer")
      ->type_name("K")
      ->check(CLI::Range(1, 1000000).description(""))
      ->capture_default_str();
  AddPriorityOption(command, &options->priority);
  command->footer(
      R"(Each client has its own connection and sends its next request when it has the
answer. With --rate, requests are sent at their time; one that has to wait for a
free connection (64, or --clients) counts from when it was due.
Ctrl-C ends the measurement and prints it.
)");
  command->callback([&session, options] {
    session.action = [&session, options] { return Bench(session, *options).Run(); };
  });
}

}  // namespace vit
