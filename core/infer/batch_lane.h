// The tasks of one kind that wait for a batch.
#ifndef VIT_CORE_INFER_BATCH_LANE_H_
#define VIT_CORE_INFER_BATCH_LANE_H_

#include <algorithm>
#include <array>
#include <deque>
#include <utility>
#include <vector>

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

  // Takes out the first `size`.
  std::vector<Task> Take(int size) {
    std::vector<Task> taken;
    taken.reserve(size);
    for (std::deque<Queued>& level : tasks) {
      for (; !level.empty() && static_cast<int>(taken.size()) < size; level.pop_front()) {
        taken.push_back(std::move(level.front().task));
      }
    }
    count -= size;
    return taken;
  }

  std::array<std::deque<Queued>, 3> tasks;  // by TaskPriority, oldest first
  int count = 0;
  int divided = 0;  // so many, the first ones, are left of a batch that was divided
};

}  // namespace vit

#endif  // VIT_CORE_INFER_BATCH_LANE_H_
