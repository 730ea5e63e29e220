// Hugging Face's index of a model in several files (model.safetensors.index.json,
// pytorch_model.bin.index.json).
#ifndef VIT_CORE_TENSOR_FILE_SHARD_INDEX_H_
#define VIT_CORE_TENSOR_FILE_SHARD_INDEX_H_

#include <map>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

// The names of the tensors in each file, by file name. Only "weight_map" of the index is used.
using ShardIndex = std::map<std::string, std::set<std::string>>;

// Parses an index. INVALID_ARGUMENT for anything that is not one, and for a file name with a folder
// in it: shards are beside their index. RESOURCE_EXHAUSTED beyond 16 MiB.
absl::StatusOr<ShardIndex> ParseShardIndex(absl::string_view json);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_SHARD_INDEX_H_
