#include "core/tensor_file/shard_index.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/tensor_file/json_events.h"
#include "core/tensor_file/tensor_bytes.h"

namespace vit {
namespace {

constexpr size_t kMaxIndexBytes = 16 << 20;
constexpr char kWeightMap[] = "weight_map";

// {"weight_map": {tensor: file...}, anything else: anything}
class IndexReader : public JsonEvents {
 public:
  absl::StatusOr<ShardIndex> Take() {
    if (index_.empty()) {
      return absl::InvalidArgumentError("it has no weight_map with tensors in it");
    }
    return std::move(index_);
  }

  absl::Status Start(bool is_object) override {
    if ((depth_ == 0 && !is_object) || (in_map_ && (depth_ != 1 || !is_object))) {
      return Unexpected();
    }
    ++depth_;
    return absl::OkStatus();
  }
  absl::Status Key(std::string key) override {
    if (depth_ == 1) {
      in_map_ = key == kWeightMap;
      if (in_map_ && std::exchange(map_seen_, true)) {
        return absl::InvalidArgumentError("it has two weight_maps");
      }
    } else if (in_map_) {
      tensor_ = std::move(key);
      if (!tensors_.insert(tensor_).second) {
        return absl::InvalidArgumentError(absl::StrCat("it names ", Quoted(tensor_), " twice"));
      }
    }
    return absl::OkStatus();
  }
  absl::Status End() override {
    --depth_;
    return absl::OkStatus();
  }
  absl::Status Text(std::string text) override {
    if (depth_ < 2 || !in_map_) return Other();
    if (text.empty() || text == "." || text == ".." || text.find('/') != std::string::npos ||
        !IsPrintableUtf8(text)) {
      return absl::InvalidArgumentError(
          absl::StrCat("it puts tensor ", Quoted(tensor_), " into ", Quoted(text),
                       ", which is not the plain name of a file beside it"));
    }
    index_[std::move(text)].insert(tensor_);
    return absl::OkStatus();
  }
  absl::Status Whole(uint64_t) override { return Other(); }
  absl::Status Other() override { return depth_ == 0 || in_map_ ? Unexpected() : absl::OkStatus(); }

 private:
  static absl::Status Unexpected() {
    return absl::InvalidArgumentError("expected {\"weight_map\": {TENSOR: FILE, ...}}");
  }

  ShardIndex index_;
  std::set<std::string> tensors_;
  int64_t depth_ = 0;
  bool in_map_ = false, map_seen_ = false;
  std::string tensor_;
};

}  // namespace

absl::StatusOr<ShardIndex> ParseShardIndex(absl::string_view json) {
  if (json.size() > kMaxIndexBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("an index of ", json.size(), " bytes; at most ", kMaxIndexBytes, " are read"));
  }
  IndexReader reader;
  VIT_RETURN_IF_ERROR(Annotate(ParseJson(json, &reader), "index of shards"));
  absl::StatusOr<ShardIndex> index = reader.Take();
  if (!index.ok()) return Annotate(index.status(), "index of shards");
  return index;
}

}  // namespace vit
