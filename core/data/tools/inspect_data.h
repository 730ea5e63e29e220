// Reports what a data set contains, and what is wrong with it.
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
  // The report names at most this many unreadable images and groups of copies; it counts all.
  int most_named = 100;
  // The fraction of a split that a run may find unreadable; the report notes if more is.
  double max_bad_fraction = 1;
};

// Reads and decodes every image of both splits. Calls `on_progress` from time to time with the
// number of images done, from one thread at a time. The report does not depend on the number of
// threads. CANCELLED once `stop` is requested.
absl::StatusOr<vit::v1::DataReport> InspectData(
    const DataSet& data, const InspectOptions& options, const std::stop_token& stop,
    const std::function<void(int64_t samples)>& on_progress);

}  // namespace vit

#endif  // VIT_CORE_DATA_TOOLS_INSPECT_DATA_H_
