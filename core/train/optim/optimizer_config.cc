#include "core/train/optim/optimizer_config.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/spec/defaults.h"

namespace vit {
namespace {

using ::vit::v1::OptimizerConfig;

absl::Status CheckLearningRate(int batch_size, const OptimizerConfig& o) {
  if (!o.has_base_learning_rate()) return absl::OkStatus();
  const double scaled = ScaledLearningRate(batch_size, o);
  if (std::abs(o.learning_rate() - scaled) <= 1e-9 * scaled) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "optimizer.learning_rate is ", o.learning_rate(), ", but optimizer.base_learning_rate ",
      o.base_learning_rate(), " at ", o.base_batch_size(), " images means ", scaled, " at ",
      batch_size, "; remove one of the two"));
}

}  // namespace

int OptimizerStateCopies(const OptimizerConfig& config) {
  switch (config.type()) {
    case vit::v1::OPTIMIZER_TYPE_SGD:
      return config.momentum() > 0 ? 1 : 0;
    case vit::v1::OPTIMIZER_TYPE_LION:
      return 1;
    default:
      return 2;
  }
}

absl::Status ValidateOptimizerConfig(int batch_size, const OptimizerConfig& o) {
  VIT_RETURN_IF_ERROR(CheckLearningRate(batch_size, o));
  if (o.nesterov() && o.momentum() == 0) {
    return absl::InvalidArgumentError("optimizer.nesterov needs optimizer.momentum above 0");
  }
  for (int i = 0; i < o.groups_size(); ++i) {
    if (!o.groups(i).parameters().empty()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("optimizer.groups[", i,
                     "].parameters is empty; name the parameters of the group, such as "
                     "\"head.*\""));
  }
  return absl::OkStatus();
}

}  // namespace vit
