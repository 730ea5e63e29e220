// A value for each split of a data set.
#ifndef VIT_CORE_DATA_PER_SPLIT_H_
#define VIT_CORE_DATA_PER_SPLIT_H_

#include "core/data/dataset.h"

namespace vit {

inline constexpr DataSplit kDataSplits[] = {DataSplit::kTrain, DataSplit::kValidation};

template <typename T>
struct PerSplit {
  T train{};
  T validation{};

  T& operator[](DataSplit split) { return split == DataSplit::kTrain ? train : validation; }
  const T& operator[](DataSplit split) const {
    return split == DataSplit::kTrain ? train : validation;
  }
};

}  // namespace vit

#endif  // VIT_CORE_DATA_PER_SPLIT_H_
