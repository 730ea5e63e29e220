#include "core/data/sources/select_samples.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/random.h"
#include "core/base/status.h"
#include "core/data/per_split.h"

namespace vit {
namespace {

// Some samples of another data set.
class SelectedDataSet : public DataSet {
 public:
  // `leaves_own_out`: the validation split is not `all`'s own.
  SelectedDataSet(std::shared_ptr<const DataSet> all, SampleSelection train,
                  SampleSelection validation, bool leaves_own_out)
      : DataSet(Facts(*all, train, validation, leaves_own_out)),
        all_(std::move(all)),
        selections_{std::move(train), std::move(validation)} {}

  int64_t size(DataSplit split) const override {
    return static_cast<int64_t>(selections_[split].indices.size());
  }
  int64_t label(DataSplit split, int64_t index) const override {
    return all_->label(selections_[split].from, selections_[split].indices[index]);
  }
  std::string name(DataSplit split, int64_t index) const override {
    return all_->name(selections_[split].from, selections_[split].indices[index]);
  }
  absl::StatusOr<ImagePart> LoadPart(DataSplit split, int64_t index,
                                     const PixelRequest& request) const override {
    return all_->LoadPart(selections_[split].from, selections_[split].indices[index], request);
  }
  absl::StatusOr<std::string> ReadEncoded(DataSplit split, int64_t index) const override {
    return all_->ReadEncoded(selections_[split].from, selections_[split].indices[index]);
  }

 private:
  static DataSetFacts Facts(const DataSet& all, const SampleSelection& train,
                            const SampleSelection& validation, bool leaves_own_out) {
    DataSetFacts facts = all.facts();
    if (leaves_own_out) {
      facts.notes.emplace_back(
          "the validation images are held out of the training split; the source's own validation "
          "split is not used");
    }
    facts.fingerprint = all.FingerprintOf(train, validation);
    return facts;
  }

  const std::shared_ptr<const DataSet> all_;
  const PerSplit<SampleSelection> selections_;
};

// The indices of one class, ascending.
using Members = std::vector<int64_t>;

std::vector<Members> ByClass(const DataSet& data, const SampleSelection& selection) {
  std::vector<Members> classes(data.class_names().size());
  for (const int64_t index : selection.indices) {
    classes[data.label(selection.from, index)].push_back(index);
  }
  return classes;
}

// Draws `count` of `members` to the front. A smaller count draws a subset of a larger one.
void DrawToFront(int64_t count, CounterRandom random, Members* members) {
  const int64_t n = static_cast<int64_t>(members->size());
  for (int64_t i = 0; i < count; ++i) {
    std::swap((*members)[i], (*members)[i + static_cast<int64_t>(random.UniformInt(n - i))]);
  }
}

// Two parts of the training split.
struct Parts {
  SampleSelection train{DataSplit::kTrain, {}};
  SampleSelection validation{DataSplit::kTrain, {}};

  void Sort() {
    std::sort(train.indices.begin(), train.indices.end());
    std::sort(validation.indices.begin(), validation.indices.end());
  }
};

Parts HoldOut(const DataSet& data, const vit::v1::DataConfig& config) {
  Parts parts;
  std::vector<Members> classes = ByClass(data, WholeSplit(data, DataSplit::kTrain));
  for (size_t label = 0; label < classes.size(); ++label) {
    Members& members = classes[label];
    const int64_t n = static_cast<int64_t>(members.size());
    const int64_t wanted = std::llround(static_cast<double>(n) * config.validation_fraction());
    // With two images or more, each split gets at least one.
    const int64_t held_out = n <= 1 ? 0 : std::clamp<int64_t>(wanted, 1, n - 1);
    DrawToFront(held_out, CounterRandom(config.split_seed(), RandomPurpose::kSplit, label, 0),
                &members);
    parts.validation.indices.insert(parts.validation.indices.end(), members.begin(),
                                    members.begin() + held_out);
    parts.train.indices.insert(parts.train.indices.end(), members.begin() + held_out,
                               members.end());
  }
  parts.Sort();
  return parts;
}

absl::StatusOr<Parts> Fold(const DataSet& data, const vit::v1::DataConfig& config) {
  if (data.size(DataSplit::kTrain) < config.folds()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.folds is ", config.folds(), ", but there are only ",
                     data.size(DataSplit::kTrain), " training images"));
  }
  Parts parts;
  std::vector<Members> classes = ByClass(data, WholeSplit(data, DataSplit::kTrain));
  // Dealt out in turn, each class continuing where the previous one ended: the sizes of the parts
  // differ by at most one, in each class and overall.
  int64_t dealt = 0;
  for (size_t label = 0; label < classes.size(); ++label) {
    Members& members = classes[label];
    DrawToFront(static_cast<int64_t>(members.size()),
                CounterRandom(config.split_seed(), RandomPurpose::kSplit, label, 1), &members);
    for (const int64_t index : members) {
      (dealt++ % config.folds() == config.fold() ? parts.validation : parts.train)
          .indices.push_back(index);
    }
  }
  parts.Sort();
  return parts;
}

bool HasLimit(const vit::v1::DataConfig& config) {
  return std::any_of(config.per_class_limit().begin(), config.per_class_limit().end(),
                     [](int64_t limit) { return limit > 0; });
}

absl::Status CheckLimits(const DataSet& data, const vit::v1::DataConfig& config) {
  const int given = config.per_class_limit_size();
  const int classes = static_cast<int>(data.class_names().size());
  if (given <= 1 || given == classes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("data.per_class_limit has ", given, " numbers for ", classes, " classes (",
                   data.class_names().front(), " to ", data.class_names().back(),
                   "); give one for all classes, or one per class in class order"));
}

void CutClasses(const DataSet& data, const vit::v1::DataConfig& config,
                SampleSelection* selection) {
  std::vector<Members> classes = ByClass(data, *selection);
  selection->indices.clear();
  for (size_t label = 0; label < classes.size(); ++label) {
    Members& members = classes[label];
    const int64_t limit =
        config.per_class_limit(config.per_class_limit_size() == 1 ? 0 : static_cast<int>(label));
    if (limit > 0 && limit < static_cast<int64_t>(members.size())) {
      DrawToFront(limit, CounterRandom(config.split_seed(), RandomPurpose::kClassLimit, label, 0),
                  &members);
      members.resize(limit);
    }
    selection->indices.insert(selection->indices.end(), members.begin(), members.end());
  }
  std::sort(selection->indices.begin(), selection->indices.end());
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DataSet>> SelectSamples(std::shared_ptr<const DataSet> all,
                                                             const vit::v1::DataConfig& config) {
  VIT_RETURN_IF_ERROR(CheckLimits(*all, config));
  const bool has_own = all->size(DataSplit::kValidation) > 0;
  const bool hold_out = config.folds() > 0 || !has_own ||
                        config.validation_split() == vit::v1::VALIDATION_SPLIT_HELD_OUT;
  if (!hold_out && !HasLimit(config)) return all;
  Parts parts;
  if (config.folds() > 0) {
    VIT_ASSIGN_OR_RETURN(parts, Fold(*all, config));
  } else if (hold_out) {
    parts = HoldOut(*all, config);
  } else {
    parts = {WholeSplit(*all, DataSplit::kTrain), WholeSplit(*all, DataSplit::kValidation)};
  }
  if (HasLimit(config)) CutClasses(*all, config, &parts.train);
  return std::make_shared<SelectedDataSet>(std::move(all), std::move(parts.train),
                                           std::move(parts.validation), hold_out && has_own);
}

}  // namespace vit
