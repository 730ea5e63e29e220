// vitd itself: everything wired together, from start to shutdown.
#ifndef VIT_SERVER_DAEMON_H_
#define VIT_SERVER_DAEMON_H_

#include <filesystem>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "server/config.h"
#include "server/logging.h"

namespace vit {

// A running daemon. It answers on its ports before Create returns, with every service NOT_SERVING
// and UNAVAILABLE until the runs are read, so that a port that is taken is found before any run is
// touched. Once ready, `<state_dir>/vitd.ports` holds {"grpc": PORT, "metrics": PORT}, with
// "unix:PATH" as the port of a socket; it is removed when the daemon ends. Thread-safe.
class Daemon {
 public:
  // Creates the state directory (mode 0700) if there is none, and locks it. FAILED_PRECONDITION for
  // a state directory that another daemon holds, a port that is taken, or a device that is missing
  // or does not compute. `logger` must outlive the daemon. Calls `on_device_lost`, at most once and
  // from a thread of the daemon, when the device no longer computes; the daemon can then only be
  // shut down.
  static absl::StatusOr<std::unique_ptr<Daemon>> Create(
      const ServerConfig& config, Logger* logger, Clock* clock = Clock::Real(),
      std::function<void()> on_device_lost = [] {});
  // Shuts down, without waiting, unless Shutdown was called.
  virtual ~Daemon() = default;

  virtual int grpc_port() const = 0;  // 0 for a socket
  virtual int metrics_port() const = 0;

  // Health reports NOT_SERVING, new work is refused, the running run writes a checkpoint and stops,
  // and calls in flight finish; what is not done by `deadline` is cut off. Called at most once.
  virtual void Shutdown(absl::Time deadline) = 0;
};

// <state_dir>/vitd.ports
std::filesystem::path PortsFile(const ServerConfig& config);

}  // namespace vit

#endif  // VIT_SERVER_DAEMON_H_
