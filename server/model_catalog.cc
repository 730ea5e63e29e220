#include "server/model_catalog.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace vit {

absl::StatusOr<ServableModel> ModelCatalog::FindRun(const std::string& run) {
  absl::StatusOr<CheckpointLease> lease = runs_->FindServable(run);
  if (!lease.ok()) return lease.status();
  return ServableModel{.name = absl::StrCat("run:", lease->run),
                       .version = lease->step,
                       .run = lease->run,
                       .step = lease->step,
                       .directory = std::move(lease->directory),
                       .lease = std::move(lease->lease)};
}

absl::StatusOr<ServableModel> ModelCatalog::FindModel(const std::string& model) {
  if (model.empty() || model == "latest") return FindRun("");
  absl::string_view run = model;
  if (absl::ConsumePrefix(&run, "run:")) {
    if (run.empty()) {
      return absl::InvalidArgumentError("model 'run:' names no run; expected run:ID");
    }
    return FindRun(std::string(run));
  }
  absl::StatusOr<ModelRepository::StoredModel> stored = models_->Find(model);
  if (!stored.ok()) return stored.status();
  return ServableModel{.name = model,
                       .version = stored->about.version(),
                       .run = stored->run,
                       .step = stored->step,
                       .in_repository = true,
                       .directory = std::move(stored->directory),
                       .lease = {}};
}

}  // namespace vit
