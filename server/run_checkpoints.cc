#include "server/run_checkpoints.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace vit {

absl::StatusOr<ServableCheckpoint> RunCheckpoints::FindCheckpoint(const std::string& model) {
  absl::string_view run = model;
  if (model.empty() || model == "latest") {
    run = "";
  } else if (!absl::ConsumePrefix(&run, "run:") || run.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("model '", model, "': expected run:ID or latest"));
  }
  const std::string id(run);
  absl::StatusOr<CheckpointLease> lease = runs_->FindServable(id);
  if (!lease.ok()) return lease.status();
  return ServableCheckpoint{.run = std::move(lease->run),
                            .step = lease->step,
                            .directory = std::move(lease->directory),
                            .lease = std::move(lease->lease)};
}

}  // namespace vit
