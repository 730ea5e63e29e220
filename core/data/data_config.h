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

// The rules by which `config`'s source is listed; those of a new specification where it has none.
int ListingVersion(const vit::v1::DataConfig& config);

// For an effective specification that was stored: one from before there were listing versions
// follows the first, by which its data was listed then.
void MarkStoredListing(vit::v1::DataConfig* config);

// Side of the pictures that evaluation and Classify make for a model of `image_size`.
int EvalImageSize(const vit::v1::DataConfig& config, int image_size);

// Sets every field that is not set to its default; some depend on the data (crop_pct), others on
// the model's `image_size` and on the machine (loader_threads).
void FillDataConfigDefaults(const DataSet& data, int image_size, int default_loader_threads,
                            vit::v1::DataConfig* config);

}  // namespace vit

#endif  // VIT_CORE_DATA_DATA_CONFIG_H_
