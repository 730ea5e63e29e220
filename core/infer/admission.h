// How much may be in flight.
#ifndef VIT_CORE_INFER_ADMISSION_H_
#define VIT_CORE_INFER_ADMISSION_H_

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "core/base/task_pool.h"

namespace vit {

// Counts the images that were accepted and not answered yet, and their bytes. Learns how long an
// image of each model takes, and refuses at once what would be answered after its deadline: an
// overloaded server then works only on answers that somebody still waits for. Thread-safe.
class Admission {
 public:
  struct Limits {
    int max_images = 1024;
    int max_images_per_model = 1024;
    int64_t max_bytes = int64_t{1} << 30;  // encoded, or as tensors
  };
  struct Demand {
    std::string model;
    int images = 0;
    int64_t bytes = 0;
    TaskPriority priority = TaskPriority::kNormal;
  };
  explicit Admission(const Limits& limits) : limits_(limits) {}

  // Counts a request in, or says why it cannot be: RESOURCE_EXHAUSTED. A request that is alone is
  // accepted whatever its bytes, which the size of a message limits.
  absl::Status Admit(const Demand& demand, absl::Time now, absl::Time deadline);

  // Counts an admitted request out.
  void Release(const Demand& demand);

  // A batch of a model has been computed.
  void OnBatch(const std::string& model, int images, absl::Time now);

 private:
  struct Model {
    std::array<int, 3> images = {};  // in flight, by priority
    // Of each of the last batches, the time since the batch before, or since there was something to
    // do, by image. The median leaves out the first ones, which load and warm up.
    std::deque<absl::Duration> samples;

    int Images(TaskPriority lowest) const;
    absl::Duration PerImage() const;  // 0 until it is known
  };

  const Limits limits_;
  Mutex mu_;
  int images_ VIT_GUARDED_BY(mu_) = 0;
  int64_t bytes_ VIT_GUARDED_BY(mu_) = 0;
  absl::Time busy_since_ VIT_GUARDED_BY(mu_) = absl::InfinitePast();
  std::map<std::string, Model> models_ VIT_GUARDED_BY(mu_);
};

}  // namespace vit

#endif  // VIT_CORE_INFER_ADMISSION_H_
