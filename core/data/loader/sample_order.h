// The order of the training samples in an epoch.
#ifndef VIT_CORE_DATA_LOADER_SAMPLE_ORDER_H_
#define VIT_CORE_DATA_LOADER_SAMPLE_ORDER_H_

#include <cstdint>
#include <vector>

#include "core/data/dataset.h"
#include "vit/v1/data.pb.h"

namespace vit {

// One place of an epoch.
struct SampleDraw {
  int64_t index = 0;  // of the sample in the training split
  // How often the sample occurs at earlier places of the epoch; gives each place its own random
  // numbers.
  int64_t copy = 0;

  bool operator==(const SampleDraw&) const = default;
};

// The order that DataConfig.sampler asks for, a function of (data, sampler, seed, epoch): as many
// places as the training split has samples. Immutable.
class SampleOrder {
 public:
  // Reads `data` only during this call. `config` must be effective.
  SampleOrder(const DataSet& data, const vit::v1::DataConfig& config);

  std::vector<SampleDraw> Epoch(uint64_t seed, int64_t epoch) const;

 private:
  std::vector<SampleDraw> Balanced(uint64_t seed, int64_t epoch) const;

  std::vector<SampleDraw> Uniform(uint64_t seed, int64_t epoch) const;

  const int64_t size_;
  const int64_t repeats_;
  // With SAMPLER_CLASS_BALANCED: the samples of each class that has any, and the probability that a
  // draw is of this class or one before it.
  std::vector<std::vector<int64_t>> members_;
  std::vector<double> cumulative_;
};

}  // namespace vit

#endif  // VIT_CORE_DATA_LOADER_SAMPLE_ORDER_H_
