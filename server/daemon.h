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
// and UNAVAILABLE until the runs are read: so a port that is taken is found before any run is
// touched. Once ready, `<state_dir>/vitd.ports` says {"grpc": PORT, "metrics": PORT}, with
// "unix:PATH" for the port of a socket; it is removed when the daemon goes. Thread-safe.
class Daemon {
 public:
  // Makes the state directory (mode 0700) where there is none, and locks it. FAILED_PRECONDITION
  // for a state directory that another daemon holds, a port that is taken, or a device that is not
  // there or does not compute. `logger` must outlive the daemon. `on_device_lost`: the device no
  // longer computes, and the daemon is of no further use but to be shut down; called once at most,
  // from a thread of the daemon.
  static absl::StatusOr<std::unique_ptr<Daemon>> Create(
      const ServerConfig& config, Logger* logger, Clock* clock = Clock::Real(),
      std::function<void()> on_device_lost = [] {});
  // Shutdown, without waiting, where it has not been called.
  virtual ~Daemon() = default;

  virtual int grpc_port() const = 0;  // 0 for a socket
  virtual int metrics_port() const = 0;

  // Health says NOT_SERVING, new work is refused, the running run writes a checkpoint and stops,
  // calls in flight finish; what is not done by `deadline` is cut off. Called once at most.
  virtual void Shutdown(absl::Time deadline) = 0;
};

// <state_dir>/vitd.ports
std::filesystem::path PortsFile(const ServerConfig& config);

}  // namespace vit

#endif  // VIT_SERVER_DAEMON_H_
