// Which checkpoints are in use and must stay on disk.
#ifndef VIT_CORE_RUNS_CHECKPOINT_LEASES_H_
#define VIT_CORE_RUNS_CHECKPOINT_LEASES_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "core/base/mutex.h"

namespace vit {

// Counts leases by run and step. Thread-safe; leases may outlive this object.
class CheckpointLeases {
 public:
  std::shared_ptr<void> Acquire(const std::string& run, int64_t step);
  bool IsHeld(const std::string& run, int64_t step) const;

  // Removes the run's `directory` now, or when the run's last lease ends; returns the error of a
  // removal now. No lease of the run may be acquired afterwards.
  absl::Status RemoveWhenUnused(const std::string& run, const std::filesystem::path& directory);

 private:
  struct Book {
    Mutex mu;
    std::map<std::string, std::map<int64_t, int>> counts VIT_GUARDED_BY(mu);
    std::map<std::string, std::filesystem::path> doomed VIT_GUARDED_BY(mu);
  };
  const std::shared_ptr<Book> book_ = std::make_shared<Book>();
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_CHECKPOINT_LEASES_H_
