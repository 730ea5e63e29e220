// Serves every Watch stream from one thread.
#ifndef VIT_SERVER_SERVICES_WATCH_HUB_H_
#define VIT_SERVER_SERVICES_WATCH_HUB_H_

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/runs/run_manager.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Each stream gets a message at once, then one whenever its run changed, but never two within
// `min_interval`: changes in between are reported together. The first message brings the history so
// far, later ones what is new; both are thinned to `max_points` for each split. A stream ends,
// after the message that says so, when its run has ended; it ends UNAVAILABLE when the daemon shuts
// down first or interrupts the run for that, and NOT_FOUND when the run is deleted. A slow reader
// is skipped, never waited for.
//
// Thread-safe. Before destruction every stream must have ended (Drain, then the server's Shutdown).
class WatchHub {
 public:
  struct Options {
    absl::Duration min_interval = absl::Milliseconds(100);
    int max_points = 1000;
    Clock* clock = Clock::Real();
  };
  // `runs` must outlive the hub.
  WatchHub(RunManager* runs, Options options);
  ~WatchHub();

  // Returns the reactor of a new stream; it deletes itself.
  grpc::ServerWriteReactor<vit::v1::WatchResponse>* Watch(const vit::v1::WatchRequest& request);

  // Says that the daemon is shutting down, which is what interrupts a run from now on.
  void AnnounceShutdown();
  // Sends every stream its last message and ends it; later ones end at once. Implies
  // AnnounceShutdown.
  void Drain();

 private:
  class Watcher;

  void Work();
  // Waits until a watcher has something to do and returns it; null once the hub may be destroyed.
  Watcher* AwaitDue();
  void Serve(Watcher* watcher);
  // Removes `watcher` from the list and ends its stream; it may be gone on return.
  void End(Watcher* watcher, const grpc::Status& status);

  RunManager* const runs_;
  const Options options_;
  Mutex mu_;
  CondVar changed_;
  bool shutting_down_ VIT_GUARDED_BY(mu_) = false;
  bool draining_ VIT_GUARDED_BY(mu_) = false;
  bool stopping_ VIT_GUARDED_BY(mu_) = false;
  std::vector<Watcher*> watchers_ VIT_GUARDED_BY(mu_);  // each owned by its stream
  std::thread thread_;                                  // last: uses all of the above
};

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_WATCH_HUB_H_
