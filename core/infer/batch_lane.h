// The tasks of one kind that wait for a batch.
#ifndef VIT_CORE_INFER_BATCH_LANE_H_
#define VIT_CORE_INFER_BATCH_LANE_H_

#include <algorithm>
#include <array>
#include <deque>

#include "absl/time/time.h"

namespace vit {

template <typename Task>
struct BatchLane {
  struct Queued {
    Task task;
    absl::Time arrival;
  };

  // Returns the next task; null if there is none.
  const Queued* First() const {
    for (const auto& level : tasks) {
      if (!level.empty()) return &level.front();
    }
    return nullptr;
  }
  absl::Time OldestArrival() const {
    absl::Time oldest = absl::InfiniteFuture();
    for (const auto& level : tasks) {
      if (!level.empty()) oldest = std::min(oldest, level.front().arrival);
    }
    return oldest;
  }

  std::array<std::deque<Queued>, 3> tasks;  // by TaskPriority, oldest first
  int count = 0;
};

}  // namespace vit

#endif  // VIT_CORE_INFER_BATCH_LANE_H_
