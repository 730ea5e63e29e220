// Lets training give way to serving as much as a latency objective needs.
#ifndef VIT_CORE_BASE_COMPUTE_SERVING_OBJECTIVE_H_
#define VIT_CORE_BASE_COMPUTE_SERVING_OBJECTIVE_H_

#include <deque>
#include <functional>
#include <stop_token>
#include <utility>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

namespace vit {

// Training calls GiveWay between micro-batches. While images wait or were served lately, that
// pauses for a share of the time, which grows while the 99th percentile of the images' latencies
// (queue and compute) is near the objective or above, and shrinks while it is well below. Without
// images it returns at once.
//
// Thread-safe.
class ServingObjective {
 public:
  struct Options {
    // Infinite: training never pauses, and yields by its threads' priority alone.
    absl::Duration p99 = absl::InfiniteDuration();
    // Receives each pause once it is over.
    std::function<void(absl::Duration)> on_pause = [](absl::Duration) {};
    Clock* clock = Clock::Real();
  };
  explicit ServingObjective(Options options) : options_(std::move(options)) {}

  // Serving: images arrived, an image was served with that latency, images were answered or given
  // up.
  void OnArrived(int images);
  void OnServed(absl::Duration latency);
  void OnLeft(int images);

  // Training: pauses if need be. Returns early on `stop`, and once no image has waited for a while.
  void GiveWay(const std::stop_token& stop);

  // The part of the time that training pauses while images are served: 0 to kLargestShare.
  double share() const;

  // Training always keeps some of the time.
  static constexpr double kLargestShare = 0.9;

 private:
  // What is older says nothing about now.
  static constexpr absl::Duration kWindow = absl::Seconds(5);
  static constexpr size_t kMostLatencies = 2000;
  // How often the share changes.
  static constexpr absl::Duration kInterval = absl::Milliseconds(250);
  // How long after the last image training goes on pausing.
  static constexpr absl::Duration kLinger = absl::Milliseconds(100);

  bool IsServing(absl::Time now) const VIT_REQUIRES(mu_);
  void Adapt(absl::Time now) VIT_REQUIRES(mu_);

  const Options options_;
  mutable Mutex mu_;
  CondVar changed_;
  int images_ VIT_GUARDED_BY(mu_) = 0;
  absl::Time last_image_ VIT_GUARDED_BY(mu_) = absl::InfinitePast();
  absl::Time last_adapted_ VIT_GUARDED_BY(mu_) = absl::InfinitePast();
  absl::Time resumed_ VIT_GUARDED_BY(mu_) = absl::InfinitePast();  // training, lately
  double share_ VIT_GUARDED_BY(mu_) = 0;
  std::deque<std::pair<absl::Time, absl::Duration>> latencies_ VIT_GUARDED_BY(mu_);  // by time
};

}  // namespace vit

#endif  // VIT_CORE_BASE_COMPUTE_SERVING_OBJECTIVE_H_
