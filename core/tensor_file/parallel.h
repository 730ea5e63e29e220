// Runs many independent tasks on a few threads.
#ifndef VIT_CORE_TENSOR_FILE_PARALLEL_H_
#define VIT_CORE_TENSOR_FILE_PARALLEL_H_

#include <cstddef>
#include <functional>

#include "absl/status/status.h"

namespace vit {

// Runs task(0) to task(count - 1) on up to four threads, which end before it returns; `what` names
// the operation for exceptions. Returns the error of the lowest-numbered task that failed; tasks
// after it may never run.
absl::Status RunInParallel(absl::string_view what, size_t count,
                           const std::function<absl::Status(size_t)>& task);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_PARALLEL_H_
