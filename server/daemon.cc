#include "server/daemon.h"

#include <prometheus/registry.h>
#include <sys/stat.h>

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/compute/compute_budget.h"
#include "core/base/compute/cuda_driver.h"
#include "core/base/compute/device.h"
#include "core/base/compute/serving_objective.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/base/task_pool.h"
#include "core/infer/inference_engine.h"
#include "core/models/model_repository.h"
#include "core/runs/run_manager.h"
#include "core/runs/state_layout.h"
#include "server/metrics/inference_metrics.h"
#include "server/metrics/metrics_endpoint.h"
#include "server/metrics/process_metrics.h"
#include "server/metrics/training_metrics.h"
#include "server/model_unloader.h"
#include "server/net/grpc_server.h"
#include "server/run_log.h"
#include "server/services/call_tracker.h"
#include "server/services/data_service.h"
#include "server/services/inference_service.h"
#include "server/services/model_service.h"
#include "server/services/open_inference/model_statistics.h"
#include "server/services/open_inference/open_inference_service.h"
#include "server/services/training_service.h"

namespace vit {
namespace {

namespace fs = std::filesystem;

// Creates the folder, for its owner alone, and takes its lock.
absl::StatusOr<FileLock> LockStateDir(const std::string& state_dir) {
  const std::string context = absl::StrCat("state directory ", state_dir);
  std::error_code error;
  if (!fs::exists(state_dir, error)) {
    VIT_RETURN_IF_ERROR(Annotate(CreateDirectories(state_dir), context));
    if (chmod(state_dir.c_str(), 0700) != 0) return absl::ErrnoToStatus(errno, context);
  }
  absl::StatusOr<FileLock> lock = FileLock::Acquire(StateLayout(state_dir).lock());
  if (absl::IsAlreadyExists(lock.status())) {
    return absl::FailedPreconditionError(absl::StrCat(
        context, ": another vitd uses it; stop that one, or give this one its own --state-dir"));
  }
  if (!lock.ok()) return Annotate(lock.status(), absl::StrCat(context, " cannot be written"));
  return lock;
}

ImageLimits Limits(const ServerConfig& config) {
  return {.max_bytes = config.max_image_bytes, .max_pixels = config.max_image_pixels};
}

TrainingEnvironment Environment(const ServerConfig& config, const Device& device,
                                const ComputeBudget& budget) {
  return {.device = device,
          .budget = budget,
          .data_roots = config.data_roots,
          .image_limits = Limits(config)};
}

class DaemonImpl final : public Daemon {
 public:
  DaemonImpl(Logger* logger, Clock* clock, std::function<void()> on_device_lost)
      : logger_(logger), clock_(clock), on_device_lost_(std::move(on_device_lost)) {}
  ~DaemonImpl() override {
    if (!shut_down_) Shutdown(clock_->Now());
    unloader_.SetEngine(nullptr);
    std::error_code error;
    if (!ports_file_.empty()) fs::remove(ports_file_, error);
  }

  absl::Status Start(const ServerConfig& config);

  int grpc_port() const override { return grpc_->port(); }
  int metrics_port() const override { return endpoint_->port(); }
  void Shutdown(absl::Time deadline) override;

 private:
  absl::Status Listen(const ServerConfig& config, const Device& device);
  absl::Status OpenRuns(const ServerConfig& config, const Device& device,
                        const ComputeBudget& budget);

  void TellDeviceLost(const absl::Status& why);

  Logger* const logger_;
  Clock* const clock_;
  const std::function<void()> on_device_lost_;
  std::once_flag device_lost_;
  bool shut_down_ = false;
  fs::path ports_file_;  // once it is ours to remove

  // In the order of construction: later members use earlier ones.
  std::optional<FileLock> lock_;
  const std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  TrainingMetrics training_metrics_{registry_.get()};
  InferenceMetrics inference_metrics_{registry_.get()};
  ModelStatistics model_statistics_{clock_};
  InferenceObservers inference_observers_{{&inference_metrics_, &model_statistics_}};
  RunLog run_log_{logger_, clock_};
  ModelUnloader unloader_;
  RunListeners listeners_{{&training_metrics_, &run_log_, &unloader_}};
  std::optional<ServingObjective> serving_objective_;
  std::unique_ptr<MetricsEndpoint> endpoint_;
  std::unique_ptr<ModelRepository> models_;
  std::unique_ptr<RunManager> runs_;
  std::unique_ptr<ModelCatalog> catalog_;
  BatchLimits batch_limits_;  // the engine's
  std::unique_ptr<InferenceEngine> engine_;
  CallTracker calls_{clock_};
  TaskPool pool_{"call", /*threads=*/4, /*max_queued=*/256};
  TrainingService training_service_{&pool_, &calls_, clock_};
  InferenceService inference_service_{&calls_};
  ModelService model_service_{&pool_, &calls_};
  DataService data_service_{&calls_};
  OpenInferenceService open_inference_service_{&pool_, &calls_, VIT_VERSION, clock_};
  std::unique_ptr<GrpcServer> grpc_;
};

absl::Status DaemonImpl::Start(const ServerConfig& config) {
  VIT_ASSIGN_OR_RETURN(FileLock lock, LockStateDir(config.state_dir));
  lock_.emplace(std::move(lock));
  ports_file_ = PortsFile(config);
  std::error_code error;
  fs::remove(ports_file_, error);  // left by a daemon that was killed
  absl::StatusOr<Device> device = Device::Parse(config.device);
  if (!device.ok()) return Annotate(device.status(), "--device");
  if (IsBuiltWithCuda() && config.device == "auto" && device->kind() == Device::Kind::kCpu) {
    logger_->Warning("no CUDA device; computing on the CPU",
                     {{"reason", CountCudaDevices().status().message()}});
  }
  if (const absl::Status opened = device->Start(); !opened.ok()) {
    if (config.device != "auto") return Annotate(opened, "--device");
    logger_->Warning("the CUDA device does not work; computing on the CPU",
                     {{"reason", opened.message()}});
    device = Device::Cpu();
  }
  VIT_ASSIGN_OR_RETURN(const ComputeBudget budget, ComputeBudget::Create(config.threads));
  VIT_RETURN_IF_ERROR(Listen(config, *device));
  VIT_RETURN_IF_ERROR(OpenRuns(config, *device, budget));
  training_service_.Serve(runs_.get(), Environment(config, *device, budget));
  inference_service_.Serve(engine_.get());
  model_service_.Serve({.runs = runs_.get(),
                        .models = models_.get(),
                        .source = catalog_.get(),
                        .engine = engine_.get(),
                        .data_roots = config.data_roots,
                        .export_dir = StateLayout(config.state_dir).exports()});
  open_inference_service_.Serve({.engine = engine_.get(),
                                 .models = models_.get(),
                                 .source = catalog_.get(),
                                 .statistics = &model_statistics_,
                                 .observer = &inference_observers_,
                                 .limits = batch_limits_});
  data_service_.Serve({.data_roots = config.data_roots, .limits = Limits(config)},
                      budget.loader_threads());
  grpc_->SetServing(true);
  const bool socket = grpc_port() == 0;
  const nlohmann::json ports = {
      {"grpc", socket ? nlohmann::json(config.listen) : nlohmann::json(grpc_port())},
      {"metrics", metrics_port()}};
  VIT_RETURN_IF_ERROR(Annotate(WriteFileAtomically(ports_file_, ports.dump() + "\n"),
                               absl::StrCat("state directory ", config.state_dir)));
  logger_->Info("ready", {socket ? LogField("grpc", config.listen) : LogField("grpc", grpc_port()),
                          {"metrics", metrics_port()},
                          {"state_dir", config.state_dir},
                          {"device", device->name()},
                          {"threads", budget.training_threads()},
                          {"version", VIT_VERSION}});
  return absl::OkStatus();
}

absl::Status DaemonImpl::Listen(const ServerConfig& config, const Device& device) {
  VIT_ASSIGN_OR_RETURN(const ListenAddress grpc_address, ParseListenAddressOrSocket(config.listen));
  VIT_ASSIGN_OR_RETURN(const ListenAddress metrics_address,
                       ParseListenAddress(config.metrics_listen));
  if (!grpc_address.is_loopback()) {
    logger_->Warning(
        "listening beyond this machine without authentication: "
        "restrict access to the port to those who may train and delete",
        {{"listen", grpc_address.ToString()}});
  }
  VIT_ASSIGN_OR_RETURN(
      endpoint_, MetricsEndpoint::Create(metrics_address,
                                         {registry_, std::make_shared<ProcessMetrics>(device)}));
  VIT_ASSIGN_OR_RETURN(
      grpc_,
      GrpcServer::Create({.address = grpc_address, .max_image_bytes = config.max_image_bytes},
                         {&training_service_, &inference_service_, &model_service_, &data_service_,
                          &open_inference_service_}));
  return absl::OkStatus();
}

absl::Status DaemonImpl::OpenRuns(const ServerConfig& config, const Device& device,
                                  const ComputeBudget& budget) {
  std::error_code error;
  std::vector<std::string> damaged;
  VIT_ASSIGN_OR_RETURN(models_, ModelRepository::Open(StateLayout(config.state_dir).models(),
                                                      device, clock_, &damaged));
  // Left by a daemon that was killed.
  fs::remove_all(StateLayout(config.state_dir).exports(), error);
  for (const std::string& why : damaged) logger_->Warning("leaving out a model: " + why);
  RunManager::Options run_options;
  run_options.state_dir = config.state_dir;
  run_options.environment = Environment(config, device, budget);
  serving_objective_.emplace(ServingObjective::Options{
      .p99 = config.serving_objective,
      .on_pause = [this](absl::Duration pause) { training_metrics_.OnPause(pause); },
      .clock = clock_});
  run_options.environment.serving_objective = &*serving_objective_;
  run_options.repository = models_.get();
  run_options.max_queued_runs = config.max_queued_runs;
  run_options.resume_interrupted = config.resume_interrupted;
  run_options.loader_threads = config.loader_threads;
  run_options.listener = &listeners_;
  run_options.clock = clock_;
  run_options.on_device_lost = [this](const absl::Status& why) { TellDeviceLost(why); };
  VIT_ASSIGN_OR_RETURN(runs_, RunManager::Create(std::move(run_options)));
  catalog_ = std::make_unique<ModelCatalog>(runs_.get(), models_.get());
  InferenceEngine::Options engine_options;
  engine_options.device = device;
  engine_options.budget = budget;
  engine_options.prepare = {.limits = Limits(config),
                            .reduced_jpeg_decoding = config.reduced_jpeg_decoding};
  engine_options.max_batch_size = config.max_batch_size;
  engine_options.max_queue_delay = config.max_queue_delay;
  engine_options.queue = {.max_images = config.max_queued_images,
                          .max_images_per_model = config.max_queued_images_per_model,
                          .max_bytes = config.max_queued_bytes};
  engine_options.default_timeout = config.inference_timeout;
  engine_options.max_loaded_models = config.max_loaded_models;
  engine_options.observer = &inference_observers_;
  engine_options.objective = &*serving_objective_;
  engine_options.clock = clock_;
  engine_options.on_failure = [this, device](const absl::Status& why) {
    if (absl::IsInvalidArgument(why)) return;
    if (const absl::Status lost = device.Probe(); !lost.ok()) TellDeviceLost(lost);
  };
  VIT_ASSIGN_OR_RETURN(engine_, InferenceEngine::Create(catalog_.get(), engine_options));
  batch_limits_ = {.max_images_per_request = engine_options.max_images_per_request,
                   .max_batch_size = engine_options.max_batch_size,
                   .max_queue_delay = engine_options.max_queue_delay};
  unloader_.SetEngine(engine_.get());
  return absl::OkStatus();
}

void DaemonImpl::TellDeviceLost(const absl::Status& why) {
  std::call_once(device_lost_, [&] {
    logger_->Error("the device no longer computes; vitd exits and must be started again",
                   {{"reason", why.message()}});
    on_device_lost_();
  });
}

void DaemonImpl::Shutdown(absl::Time deadline) {
  shut_down_ = true;
  if (grpc_ == nullptr) return;
  if (engine_ != nullptr) logger_->Info("shutting down: refusing new work, finishing the rest");
  grpc_->SetServing(false);
  training_service_.RefuseNewWork();
  inference_service_.RefuseNewWork();
  model_service_.RefuseNewWork();
  data_service_.RefuseNewWork();
  open_inference_service_.RefuseNewWork();
  if (runs_ != nullptr) runs_->Shutdown(deadline);
  training_service_.EndWatches();
  if (!calls_.AwaitIdle(deadline)) {
    logger_->Warning("calls in flight were cut off at the drain timeout");
  }
  // Only streams that clients keep open, such as health watches, and answers in transit are left.
  grpc_->Shutdown(
      std::clamp(deadline - clock_->Now(), absl::Milliseconds(50), absl::Milliseconds(500)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Create(const ServerConfig& config, Logger* logger,
                                                       Clock* clock,
                                                       std::function<void()> on_device_lost) {
  auto daemon = std::make_unique<DaemonImpl>(logger, clock, std::move(on_device_lost));
  VIT_RETURN_IF_ERROR(daemon->Start(config));
  return daemon;
}

std::filesystem::path PortsFile(const ServerConfig& config) {
  return StateLayout(config.state_dir).ports();
}

}  // namespace vit
