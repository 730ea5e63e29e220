#include "core/data/loader/sample_order.h"

#include <algorithm>
#include <cmath>

#include "core/base/random.h"

namespace vit {

SampleOrder::SampleOrder(const DataSet& data, const vit::v1::DataConfig& config)
    : size_(data.size(DataSplit::kTrain)), repeats_(std::max(config.repeats(), 1)) {
  if (config.sampler() != vit::v1::SAMPLER_CLASS_BALANCED) return;
  members_.resize(data.class_names().size());
  for (int64_t i = 0; i < size_; ++i) members_[data.label(DataSplit::kTrain, i)].push_back(i);
  std::erase_if(members_, [](const std::vector<int64_t>& of_class) { return of_class.empty(); });
  double total = 0;
  for (const std::vector<int64_t>& of_class : members_) {
    // N samples of weight N^-power each.
    total += std::pow(static_cast<double>(of_class.size()), 1 - config.sampler_power());
    cumulative_.push_back(total);
  }
  for (double& probability : cumulative_) probability /= total;
}

std::vector<SampleDraw> SampleOrder::Epoch(uint64_t seed, int64_t epoch) const {
  std::vector<SampleDraw> order = members_.empty() ? Uniform(seed, epoch) : Balanced(seed, epoch);
  if (repeats_ == 1) return order;
  // From the back, because each draw comes from a place at or before its own.
  for (int64_t place = size_ - 1; place >= 0; --place) {
    const SampleDraw draw = order[place / repeats_];
    order[place] = {draw.index, draw.copy * repeats_ + place % repeats_};
  }
  return order;
}

std::vector<SampleDraw> SampleOrder::Uniform(uint64_t seed, int64_t epoch) const {
  std::vector<SampleDraw> order;
  order.reserve(size_);
  for (const int64_t index : ShuffledIndices(seed, epoch, size_)) order.push_back({index, 0});
  return order;
}

std::vector<SampleDraw> SampleOrder::Balanced(uint64_t seed, int64_t epoch) const {
  std::vector<SampleDraw> order(size_);
  std::vector<int64_t> drawn(size_);
  for (int64_t place = 0; place < size_; ++place) {
    CounterRandom random(seed, RandomPurpose::kSampler, epoch, place);
    const auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), random.Uniform());
    // Rounding may leave the last sum below 1.
    const size_t label = std::min<size_t>(found - cumulative_.begin(), members_.size() - 1);
    const std::vector<int64_t>& of_class = members_[label];
    const int64_t index = of_class[random.UniformInt(of_class.size())];
    order[place] = {index, drawn[index]++};
  }
  return order;
}

}  // namespace vit
