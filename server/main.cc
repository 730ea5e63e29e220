// vitd: trains Vision Transformers and serves them.
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/compute/compute_budget.h"
#include "server/config.h"
#include "server/daemon.h"
#include "server/exit_watchdog.h"
#include "server/logging.h"
#include "server/signals.h"

namespace {

// Ends the process without waiting for anything. `started`: the daemon has written its ports file;
// before that, the file may be another daemon's.
[[noreturn]] void ExitAtOnce(const char* why, int code, const vit::ServerConfig& config,
                             bool started, vit::Logger logger) {
  logger.Warning(absl::StrCat(
      why, "; exiting at once; the run continues from its last checkpoint at the next start"));
  std::error_code error;
  if (started) std::filesystem::remove(vit::PortsFile(config), error);
  _exit(code);
}

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_NAME, "vitd");  // not vitd-daemon, which only the launcher knows
  vit::PrepareComputeProcess(argv);
  // Before the signals, whose thread sets and reads them.
  std::atomic<bool> started = false;
  std::atomic<bool> device_lost = false;
  absl::Time deadline;
  std::optional<vit::ExitWatchdog> watchdog;
  vit::ShutdownSignals signals;
  const auto parsed =
      vit::ParseServerConfig(argc, argv, [](const char* name) { return getenv(name); });
  if (!parsed.ok()) {
    std::cerr << "vitd: " << parsed.status().message() << "\n";
    return 2;
  }
  if (const auto* print = std::get_if<vit::PrintAndExit>(&*parsed)) {
    std::cout << print->text;
    return 0;
  }
  const auto& config = std::get<vit::ServerConfig>(*parsed);
  vit::Logger logger(config.log_format, config.log_level);
  logger.CaptureLibraryLogs();
  vit::CaptureComputeWarnings(
      [logger](const std::string& message) mutable { logger.Warning("LibTorch: " + message); });

  vit::Clock* const clock = vit::Clock::Real();
  // Counts from the signal, not from when it is handled: the start may take long too.
  signals.OnFirst([&started, &device_lost, &deadline, &watchdog, clock, config, logger] {
    deadline = clock->Now() + config.drain_timeout;
    watchdog.emplace(deadline, clock, [&started, &device_lost, config, logger] {
      ExitAtOnce("drain timeout passed", device_lost ? 1 : 0, config, started, logger);
    });
  });
  signals.OnSecond([&started, config, logger](int signal) {
    ExitAtOnce("second signal", 128 + signal, config, started, logger);
  });
  if (signals.received()) {
    logger.Info("stopped before it started");
    return 0;
  }
  auto daemon = vit::Daemon::Create(config, &logger, clock, [&device_lost, &signals] {
    device_lost = true;
    if (!signals.received()) kill(getpid(), SIGTERM);
  });
  if (!daemon.ok()) {
    logger.Error(daemon.status().message());
    return 1;
  }
  started = true;
  signals.AwaitFirst();
  // A little earlier than the watchdog, so that everything shuts down in order if possible.
  (*daemon)->Shutdown(deadline - std::min(absl::Seconds(1), config.drain_timeout / 10));
  daemon->reset();
  logger.Info("stopped");
  return device_lost ? 1 : 0;
}
