#include "core/train/recipe/recipe_config.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/train/optim/averaging.h"
#include "core/train/recipe/mixing.h"
#include "core/train/spec_fields.h"

namespace vit {
namespace {

using vit::v1::AveragingConfig;
using vit::v1::LossConfig;
using vit::v1::MixingConfig;
using vit::v1::TrainingSpec;

// low <= value <= high; not-a-number is outside of every range.
absl::Status CheckRange(absl::string_view field, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return BadField(field, value, absl::StrCat(low, " to ", high));
}

constexpr double kMany = 1e9;  // above what anybody means

// N / N_i, normalised to sum 1, of the training split.
absl::StatusOr<std::vector<double>> InverseFrequencies(const DataSet& data) {
  const std::vector<int64_t> counts = ClassCounts(data, DataSplit::kTrain);
  std::vector<double> weights;
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "loss.class_weighting is inverse_frequency, and class '", data.class_names()[i],
          "' has no training pictures; leave the class out, or set loss.class_weights"));
    }
    weights.push_back(1 / static_cast<double>(counts[i]));
    sum += weights.back();
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

absl::Status FillClassWeights(const DataSet& data, LossConfig* loss) {
  if (loss->class_weighting() != vit::v1::CLASS_WEIGHTING_INVERSE_FREQUENCY)
    return absl::OkStatus();
  VIT_ASSIGN_OR_RETURN(const std::vector<double> weights, InverseFrequencies(data));
  const google::protobuf::RepeatedField<double> computed(weights.begin(), weights.end());
  if (!loss->class_weights().empty() &&
      !std::equal(weights.begin(), weights.end(), loss->class_weights().begin(),
                  loss->class_weights().end())) {
    return absl::InvalidArgumentError(
        "loss.class_weights is set, and loss.class_weighting is inverse_frequency, which computes "
        "other ones; set one of them");
  }
  *loss->mutable_class_weights() = computed;
  return absl::OkStatus();
}

absl::Status ValidateLoss(const LossConfig& loss, double smoothing, const DataSet& data) {
  const auto classes = static_cast<int>(data.class_names().size());
  const bool focal = loss.type() == vit::v1::LOSS_TYPE_FOCAL;
  const bool binary = loss.type() == vit::v1::LOSS_TYPE_BINARY_CROSS_ENTROPY;
  if (!loss.class_weights().empty() && loss.class_weights_size() != classes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "loss.class_weights has ", loss.class_weights_size(), " values, and the data has ", classes,
        " classes; give one for each, in the order of their names"));
  }
  for (const double weight : loss.class_weights()) {
    if (!(weight > 0 && std::isfinite(weight)))
      return BadField("loss.class_weights", weight, "numbers above 0");
  }
  if (loss.has_focal_gamma() && !focal) {
    return absl::InvalidArgumentError(
        "loss.focal_gamma belongs to loss.type focal; set that, or leave focal_gamma out");
  }
  if (focal) VIT_RETURN_IF_ERROR(CheckRange("loss.focal_gamma", loss.focal_gamma(), 0, 100));
  if (loss.has_binary_threshold() && !binary) {
    return absl::InvalidArgumentError(
        "loss.binary_threshold belongs to loss.type binary_cross_entropy; set that, or leave "
        "binary_threshold out");
  }
  if (loss.has_binary_threshold() &&
      !(loss.binary_threshold() >= 0 && loss.binary_threshold() < 1)) {
    return BadField("loss.binary_threshold", loss.binary_threshold(), "at least 0 and below 1");
  }
  // What label smoothing makes of 0 and of 1.
  const double least = smoothing / classes, most = 1 - smoothing + least;
  if (loss.has_binary_threshold() &&
      (loss.binary_threshold() < least || loss.binary_threshold() >= most)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "loss.binary_threshold ", loss.binary_threshold(),
        " makes all targets the same, which lie "
        "between ",
        least, " and ", most, " at label_smoothing ", smoothing, "; set it between them"));
  }
  if (!(loss.hardest_fraction() > 0 && loss.hardest_fraction() <= 1)) {
    return BadField("loss.hardest_fraction", loss.hardest_fraction(), "above 0, at most 1");
  }
  return absl::OkStatus();
}

absl::Status ValidateMixing(const TrainingSpec& spec) {
  const MixingConfig& mixing = spec.mixing();
  VIT_RETURN_IF_ERROR(CheckRange("mixing.mixup_alpha", mixing.mixup_alpha(), 0, 1000));
  VIT_RETURN_IF_ERROR(CheckRange("mixing.cutmix_alpha", mixing.cutmix_alpha(), 0, 1000));
  VIT_RETURN_IF_ERROR(CheckRange("mixing.probability", mixing.probability(), 0, 1));
  VIT_RETURN_IF_ERROR(CheckRange("mixing.switch_probability", mixing.switch_probability(), 0, 1));
  VIT_RETURN_IF_ERROR(CheckRange("mixing.unmixed_epochs", mixing.unmixed_epochs(), 0, kMany));
  if (!HasMixing(mixing)) return absl::OkStatus();
  if (spec.batch_size() < 2) {
    return absl::InvalidArgumentError(
        "mixing mixes the pictures of a batch, and batch_size is 1; raise it, or set "
        "mixing.mixup_alpha and mixing.cutmix_alpha to 0");
  }
  if (spec.loss().hardest_fraction() < 1) {
    return absl::InvalidArgumentError(
        "loss.hardest_fraction picks the pictures that are classified worst, which mixed ones "
        "cannot tell; set it to 1, or mixing.mixup_alpha and mixing.cutmix_alpha to 0");
  }
  return absl::OkStatus();
}

absl::Status ValidateAveraging(const AveragingConfig& averaging) {
  if (!(averaging.ema_decay() >= 0 && averaging.ema_decay() < 1)) {
    return BadField("averaging.ema_decay", averaging.ema_decay(), "at least 0 (off) and below 1");
  }
  if (!averaging.has_swa_start_epoch()) {
    if (averaging.has_swa_every_steps() || averaging.has_swa_learning_rate() ||
        averaging.has_swa_anneal_epochs()) {
      return absl::InvalidArgumentError(
          "averaging.swa_every_steps, swa_learning_rate and swa_anneal_epochs belong to SWA, which "
          "averaging.swa_start_epoch switches on; set it");
    }
    return absl::OkStatus();
  }
  VIT_RETURN_IF_ERROR(
      CheckRange("averaging.swa_start_epoch", averaging.swa_start_epoch(), 0, kMany));
  if (averaging.has_swa_every_steps()) {
    VIT_RETURN_IF_ERROR(CheckRange("averaging.swa_every_steps",
                                   static_cast<double>(averaging.swa_every_steps()), 1, kMany));
  }
  if (averaging.has_swa_learning_rate() &&
      !(averaging.swa_learning_rate() > 0 && std::isfinite(averaging.swa_learning_rate()))) {
    return BadField("averaging.swa_learning_rate", averaging.swa_learning_rate(),
                    "a number above 0");
  }
  return CheckRange("averaging.swa_anneal_epochs", averaging.swa_anneal_epochs(), 0, kMany);
}

}  // namespace

// Sets a field that is not set.
#define VIT_DEFAULT(message, field, value) \
  if (!(message)->has_##field()) (message)->set_##field(value)

absl::Status FillRecipeDefaults(const DataSet& data, TrainingSpec* spec) {
  LossConfig* loss = spec->mutable_loss();
  VIT_DEFAULT(loss, type, vit::v1::LOSS_TYPE_CROSS_ENTROPY);
  VIT_DEFAULT(loss, class_weighting, vit::v1::CLASS_WEIGHTING_GIVEN);
  if (loss->type() == vit::v1::LOSS_TYPE_FOCAL) VIT_DEFAULT(loss, focal_gamma, 2);
  VIT_DEFAULT(loss, hardest_fraction, 1);
  VIT_RETURN_IF_ERROR(FillClassWeights(data, loss));

  MixingConfig* mixing = spec->mutable_mixing();
  VIT_DEFAULT(mixing, mixup_alpha, 0);
  VIT_DEFAULT(mixing, cutmix_alpha, 0);
  VIT_DEFAULT(mixing, probability, 1);
  VIT_DEFAULT(mixing, switch_probability, 0.5);
  VIT_DEFAULT(mixing, mode, vit::v1::MIX_MODE_BATCH);
  VIT_DEFAULT(mixing, unmixed_epochs, 0);

  AveragingConfig* averaging = spec->mutable_averaging();
  VIT_DEFAULT(averaging, ema_decay, 0);
  VIT_DEFAULT(averaging, ema_warmup, true);
  if (averaging->has_swa_start_epoch()) VIT_DEFAULT(averaging, swa_anneal_epochs, 1);

  vit::v1::EarlyStoppingConfig* stopping = spec->mutable_early_stopping();
  VIT_DEFAULT(stopping, patience, 0);
  VIT_DEFAULT(stopping, min_improvement, 0);
  return absl::OkStatus();
}

#undef VIT_DEFAULT

absl::Status ValidateRecipe(const TrainingSpec& spec, const DataSet& data) {
  VIT_RETURN_IF_ERROR(ValidateLoss(spec.loss(), spec.label_smoothing(), data));
  VIT_RETURN_IF_ERROR(ValidateMixing(spec));
  VIT_RETURN_IF_ERROR(ValidateAveraging(spec.averaging()));
  VIT_RETURN_IF_ERROR(
      CheckRange("early_stopping.patience", spec.early_stopping().patience(), 0, kMany));
  return CheckRange("early_stopping.min_improvement", spec.early_stopping().min_improvement(), 0,
                    kMany);
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
