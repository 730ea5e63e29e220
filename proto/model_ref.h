// References to models, as people and requests write them.
#ifndef VIT_PROTO_MODEL_REF_H_
#define VIT_PROTO_MODEL_REF_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

// One of
//   latest (or "")         the most recently started run that has a checkpoint
//   run:ID                 a run, by its id, the start of one, or its name: its best checkpoint
//   run:ID@STEP            the checkpoint of that step
//   NAME, model:NAME       a model of the repository: its newest version
//   NAME@V, model:NAME@V   that version
struct ModelRef {
  enum class Kind { kLatest, kRun, kModel };
  // The checkpoint or version that is served now.
  static constexpr int64_t kServed = -1;

  Kind kind = Kind::kLatest;
  std::string name;          // the run or the model; empty for kLatest
  int64_t number = kServed;  // the step or version

  // INVALID_ARGUMENT says what is wrong with `text`.
  static absl::StatusOr<ModelRef> Parse(absl::string_view text);
  static ModelRef Run(std::string id, int64_t step = kServed);
  static ModelRef Model(std::string name, int64_t version = kServed);

  bool is_run() const { return kind != Kind::kModel; }
  // "latest", "run:ID@STEP", "NAME@V".
  std::string ToString() const;
  // The same with "model:" in front of a model, for places that also take a path.
  std::string ToPrefixedString() const;
};

// Returns whether `text` begins with run: or model:, as references do in places that also take a
// path.
bool IsPrefixedModelRef(absl::string_view text);

// INVALID_ARGUMENT for what cannot be a model's name.
absl::Status CheckModelName(absl::string_view name);

}  // namespace vit

#endif  // VIT_PROTO_MODEL_REF_H_
