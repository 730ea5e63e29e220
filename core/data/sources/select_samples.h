// Selects the samples of a source: validation_split, folds and per_class_limit.
#ifndef VIT_CORE_DATA_SOURCES_SELECT_SAMPLES_H_
#define VIT_CORE_DATA_SOURCES_SELECT_SAMPLES_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/data/dataset.h"
#include "vit/v1/data.pb.h"

namespace vit {

// Returns the samples of `all` that `config` asks for, or `all` itself if that is every sample.
// INVALID_ARGUMENT if `config` asks for what `all` does not have.
absl::StatusOr<std::shared_ptr<const DataSet>> SelectSamples(std::shared_ptr<const DataSet> all,
                                                             const vit::v1::DataConfig& config);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_SELECT_SAMPLES_H_
