// Which samples of a source are seen: per_class_limit.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/random.h"
#include "core/base/status.h"
#include "core/data/sources.h"

namespace vit {
namespace {

// Some samples of another data set.
class SelectedDataSet : public DataSet {
 public:
  SelectedDataSet(std::shared_ptr<const DataSet> all, SampleSelection train,
                  SampleSelection validation)
      : all_(std::move(all)), selections_{std::move(train), std::move(validation)} {
    class_names_ = all_->class_names();
    native_size_ = all_->native_size();
    fingerprint_ = all_->FingerprintOf(selections_[0], selections_[1]);
  }

  int64_t size(DataSplit split) const override {
    return static_cast<int64_t>(of(split).indices.size());
  }
  int64_t label(DataSplit split, int64_t index) const override {
    return all_->label(of(split).from, of(split).indices[index]);
  }
  std::string name(DataSplit split, int64_t index) const override {
    return all_->name(of(split).from, of(split).indices[index]);
  }
  absl::StatusOr<Image> Load(DataSplit split, int64_t index, int min_short_side) const override {
    return all_->Load(of(split).from, of(split).indices[index], min_short_side);
  }

 private:
  const SampleSelection& of(DataSplit split) const {
    return selections_[split == DataSplit::kTrain ? 0 : 1];
  }

  const std::shared_ptr<const DataSet> all_;
  const SampleSelection selections_[2];  // training, validation
};

SampleSelection WholeSplit(const DataSet& data, DataSplit split) {
  SampleSelection whole{split, std::vector<int64_t>(data.size(split))};
  for (int64_t i = 0; i < data.size(split); ++i) whole.indices[i] = i;
  return whole;
}

bool Limits(const vit::v1::DataConfig& config) {
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

// Keeps `limit` of `members`, in their order. The kept ones of a smaller limit are among those of a
// larger one.
void Keep(int64_t limit, CounterRandom random, std::vector<int64_t>* members) {
  const int64_t n = static_cast<int64_t>(members->size());
  if (limit <= 0 || limit >= n) return;
  for (int64_t i = 0; i < limit; ++i) {
    std::swap((*members)[i], (*members)[i + static_cast<int64_t>(random.UniformInt(n - i))]);
  }
  members->resize(limit);
}

void CutClasses(const DataSet& data, const vit::v1::DataConfig& config,
                SampleSelection* selection) {
  std::vector<std::vector<int64_t>> members(data.class_names().size());
  for (const int64_t index : selection->indices) {
    members[data.label(selection->from, index)].push_back(index);
  }
  selection->indices.clear();
  for (size_t label = 0; label < members.size(); ++label) {
    const int each = config.per_class_limit_size() == 1 ? 0 : static_cast<int>(label);
    Keep(config.per_class_limit(each),
         CounterRandom(config.split_seed(), RandomPurpose::kClassLimit, label, 0), &members[label]);
    selection->indices.insert(selection->indices.end(), members[label].begin(),
                              members[label].end());
  }
  std::sort(selection->indices.begin(), selection->indices.end());
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DataSet>> SelectSamples(std::shared_ptr<const DataSet> all,
                                                             const vit::v1::DataConfig& config) {
  VIT_RETURN_IF_ERROR(CheckLimits(*all, config));
  if (!Limits(config)) return all;
  SampleSelection train = WholeSplit(*all, DataSplit::kTrain);
  CutClasses(*all, config, &train);
  SampleSelection validation = WholeSplit(*all, DataSplit::kValidation);
  return std::make_shared<SelectedDataSet>(std::move(all), std::move(train), std::move(validation));
}

}  // namespace vit
