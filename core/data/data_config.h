// Defaults and checks of DataConfig.
#ifndef VIT_CORE_DATA_DATA_CONFIG_H_
#define VIT_CORE_DATA_DATA_CONFIG_H_

#include "absl/status/status.h"
#include "core/data/dataset.h"
#include "vit/v1/data.pb.h"

namespace vit {

// Checks the fields that are set, without looking at the source. INVALID_ARGUMENT names the field
// as "data.train.padding".
absl::Status ValidateDataConfig(const vit::v1::DataConfig& config);

// Sets every field that is not set to its default; some depend on the data (crop_pct),
// loader_threads on the machine.
void FillDataConfigDefaults(const DataSet& data, int image_size, int default_loader_threads,
                            vit::v1::DataConfig* config);

}  // namespace vit

#endif  // VIT_CORE_DATA_DATA_CONFIG_H_
