// Files of a source that are not samples, counted by kind.
#ifndef VIT_CORE_DATA_SOURCES_PASSED_OVER_COUNTS_H_
#define VIT_CORE_DATA_SOURCES_PASSED_OVER_COUNTS_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/data/dataset.h"

namespace vit {

// Collects what DataSet::passed_over returns.
class PassedOverCounts {
 public:
  void Add(absl::string_view kind, absl::string_view example, int64_t count = 1);
  void AddAll(const PassedOverCounts& other);
  const std::vector<PassedOver>& files() const { return files_; }

 private:
  std::vector<PassedOver> files_;  // kinds in the order of their first examples
};

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_PASSED_OVER_COUNTS_H_
