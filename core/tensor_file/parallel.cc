#include "core/tensor_file/parallel.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "core/base/status.h"

namespace vit {

absl::Status RunInParallel(absl::string_view what, size_t count,
                           const std::function<absl::Status(size_t)>& task) {
  constexpr size_t kMaxThreads = 4;
  std::atomic<size_t> next = 0;
  std::atomic<bool> failed = false;
  std::vector<absl::Status> statuses(count);
  const auto work = [&] {
    // Tasks begin in order, so that all tasks before the first failure run.
    while (!failed) {
      const size_t i = next++;
      if (i >= count) return;
      statuses[i] = CatchExceptions(what, [&] { return task(i); });
      if (!statuses[i].ok()) failed = true;
    }
  };
  const size_t threads =
      std::min({kMaxThreads, count, size_t{std::max(1U, std::thread::hardware_concurrency())}});
  std::vector<std::thread> others;
  for (size_t i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  for (std::thread& thread : others) thread.join();
  for (absl::Status& status : statuses) VIT_RETURN_IF_ERROR(std::move(status));
  return absl::OkStatus();
}

}  // namespace vit
