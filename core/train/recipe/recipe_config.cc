#include "core/train/recipe/recipe_config.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/train/optim/averaging.h"
#include "core/train/recipe/mixing.h"

namespace vit {
namespace {

using vit::v1::LossConfig;
using vit::v1::TrainingSpec;

// Returns N / N_i of the training split, normalised to sum 1.
absl::StatusOr<std::vector<double>> InverseFrequencies(const DataSet& data) {
  const std::vector<int64_t> counts = ClassCounts(data, DataSplit::kTrain);
  std::vector<double> weights;
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "loss.class_weighting is inverse_frequency, but class '", data.class_names()[i],
          "' has no training images; leave the class out, or set loss.class_weights"));
    }
    weights.push_back(1 / static_cast<double>(counts[i]));
    sum += weights.back();
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

absl::Status CheckLoss(const LossConfig& loss, double smoothing, int classes) {
  if (!loss.class_weights().empty() && loss.class_weights_size() != classes) {
    return absl::InvalidArgumentError(
        absl::StrCat("loss.class_weights has ", loss.class_weights_size(), " values, the data has ",
                     classes, " classes; give one per class, in the order of their names"));
  }
  // What label smoothing turns 0 and 1 into.
  const double least = smoothing / classes, most = 1 - smoothing + least;
  if (loss.has_binary_threshold() &&
      (loss.binary_threshold() < least || loss.binary_threshold() >= most)) {
    return absl::InvalidArgumentError(
        absl::StrCat("loss.binary_threshold ", loss.binary_threshold(),
                     " makes all targets the same: at label_smoothing ", smoothing,
                     " they lie between ", least, " and ", most, "; set it between them"));
  }
  return absl::OkStatus();
}

absl::Status CheckMixing(const TrainingSpec& spec) {
  if (!HasMixing(spec.mixing())) return absl::OkStatus();
  if (spec.batch_size() < 2) {
    return absl::InvalidArgumentError(
        "mixing mixes the images of a batch, but batch_size is 1; raise it, or set "
        "mixing.mixup_alpha and mixing.cutmix_alpha to 0");
  }
  if (spec.loss().hardest_fraction() < 1) {
    return absl::InvalidArgumentError(
        "loss.hardest_fraction picks the images that are classified worst, which does not work "
        "for mixed images; set it to 1, or mixing.mixup_alpha and mixing.cutmix_alpha to 0");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status FillClassWeights(const DataSet& data, LossConfig* loss) {
  if (loss->class_weighting() != vit::v1::CLASS_WEIGHTING_INVERSE_FREQUENCY) {
    return absl::OkStatus();
  }
  VIT_ASSIGN_OR_RETURN(const std::vector<double> weights, InverseFrequencies(data));
  const google::protobuf::RepeatedField<double> computed(weights.begin(), weights.end());
  if (!loss->class_weights().empty() &&
      !std::equal(weights.begin(), weights.end(), loss->class_weights().begin(),
                  loss->class_weights().end())) {
    return absl::InvalidArgumentError(
        "loss.class_weights is set, but loss.class_weighting is inverse_frequency, which computes "
        "other weights; set one of them");
  }
  *loss->mutable_class_weights() = computed;
  return absl::OkStatus();
}

absl::Status ValidateRecipe(const TrainingSpec& spec, int class_count) {
  VIT_RETURN_IF_ERROR(CheckLoss(spec.loss(), spec.label_smoothing(), class_count));
  return CheckMixing(spec);
}

absl::Status ValidateRecipeLength(const TrainingSpec& spec, int64_t steps_per_epoch,
                                  int64_t total_steps) {
  const std::optional<SwaSteps> swa = SwaStepsOf(spec.averaging(), steps_per_epoch);
  if (!swa.has_value() || swa->start + swa->period <= total_steps) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "averaging.swa_start_epoch ", spec.averaging().swa_start_epoch(),
      ": the first average, of step ", swa->start + swa->period, ", is beyond the run's end, step ",
      total_steps,
      "; start earlier, lengthen the run, or set a smaller averaging.swa_every_steps"));
}

}  // namespace vit
