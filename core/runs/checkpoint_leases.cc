#include "core/runs/checkpoint_leases.h"

#include "core/base/file.h"

namespace vit {

std::shared_ptr<void> CheckpointLeases::Acquire(const std::string& run, int64_t step) {
  {
    MutexLock lock(&book_->mu);
    ++book_->counts[run][step];
  }
  // The pointer only has to be non-null.
  return std::shared_ptr<void>(book_.get(), [book = book_, run, step](void*) {
    std::filesystem::path remove;
    {
      MutexLock lock(&book->mu);
      auto steps = book->counts.find(run);
      auto count = steps->second.find(step);
      if (--count->second > 0) return;
      steps->second.erase(count);
      if (!steps->second.empty()) return;
      book->counts.erase(steps);
      auto doomed = book->doomed.find(run);
      if (doomed == book->doomed.end()) return;
      remove = doomed->second;
      book->doomed.erase(doomed);
    }
    // The next start removes what an error leaves: the folder is marked as deleted.
    RemoveTree(remove).IgnoreError();
  });
}

bool CheckpointLeases::IsHeld(const std::string& run, int64_t step) const {
  MutexLock lock(&book_->mu);
  auto steps = book_->counts.find(run);
  return steps != book_->counts.end() && steps->second.count(step) > 0;
}

absl::Status CheckpointLeases::RemoveWhenUnused(const std::string& run,
                                                const std::filesystem::path& directory) {
  {
    MutexLock lock(&book_->mu);
    if (book_->counts.count(run) > 0) {
      book_->doomed[run] = directory;
      return absl::OkStatus();
    }
  }
  return RemoveTree(directory);
}

}  // namespace vit
