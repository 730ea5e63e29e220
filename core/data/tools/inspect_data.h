// What is in a data set, and what is wrong with it.
#ifndef VIT_CORE_DATA_TOOLS_INSPECT_DATA_H_
#define VIT_CORE_DATA_TOOLS_INSPECT_DATA_H_

#include <cstdint>
#include <functional>
#include <stop_token>

#include "absl/status/statusor.h"
#include "core/data/dataset.h"
#include "vit/v1/datasets.pb.h"

namespace vit {

struct InspectOptions {
  int threads = 1;
  // The report names so many unreadable pictures and groups of copies at most; it counts all.
  int most_named = 100;
};

// Reads and decodes every picture of both splits. `on_progress` is called now and then with the
// pictures done, from one thread at a time. The report does not hang on the number of threads.
// CANCELLED once `stop` is requested.
absl::StatusOr<vit::v1::DataReport> InspectData(
    const DataSet& data, const InspectOptions& options, const std::stop_token& stop,
    const std::function<void(int64_t samples)>& on_progress);

}  // namespace vit

#endif  // VIT_CORE_DATA_TOOLS_INSPECT_DATA_H_
