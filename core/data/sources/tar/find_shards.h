// The archives behind wds:PATH.
#ifndef VIT_CORE_DATA_SOURCES_TAR_FIND_SHARDS_H_
#define VIT_CORE_DATA_SOURCES_TAR_FIND_SHARDS_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/sources/split_words.h"

namespace vit {

struct Shards {
  struct Shard {
    std::filesystem::path path;  // symbolic links resolved
    SplitWord split = SplitWord::kTrain;
  };
  std::vector<Shard> shards;
  // What is used for validation, and what is not used.
  std::vector<std::string> notes;
};

// Finds the archives that `path` stands for: one, a folder of them or a pattern with braces. Leaves
// out those for test if there are any for validation. INVALID_ARGUMENT if there are none for
// training, or if two folders could be the same split. `listing_version` 1 knows the words train,
// val, valid, validation and test, and as folders train, val, validation and test.
absl::StatusOr<Shards> FindShards(const std::string& path, const std::vector<std::string>& roots,
                                  int listing_version);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_TAR_FIND_SHARDS_H_
