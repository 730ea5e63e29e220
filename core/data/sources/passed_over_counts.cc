#include "core/data/sources/passed_over_counts.h"

#include <string>

namespace vit {

void PassedOverCounts::Add(absl::string_view kind, absl::string_view example, int64_t count) {
  for (PassedOver& files : files_) {
    if (files.kind != kind) continue;
    files.count += count;
    return;
  }
  files_.push_back({std::string(kind), count, std::string(example)});
}

void PassedOverCounts::AddAll(const PassedOverCounts& other) {
  for (const PassedOver& files : other.files_) Add(files.kind, files.example, files.count);
}

}  // namespace vit
