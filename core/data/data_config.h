// Checks of DataConfig.
#ifndef VIT_CORE_DATA_DATA_CONFIG_H_
#define VIT_CORE_DATA_DATA_CONFIG_H_

#include "absl/status/status.h"
#include "vit/v1/data.pb.h"

namespace vit {

// Checks a config, with the defaults that it leaves open, without looking at the source: the rules
// of its fields, and what they mean together. INVALID_ARGUMENT names the field as
// "data.train.scale_min".
absl::Status ValidateDataConfig(const vit::v1::DataConfig& given);

// Marks an effective specification that was stored: one from before listing versions existed
// follows the first, by which its data was listed then.
void MarkStoredListing(vit::v1::DataConfig* config);

// Side of the images that evaluation and Classify make for a model of `image_size`.
int EvalImageSize(const vit::v1::DataConfig& config, int image_size);

}  // namespace vit

#endif  // VIT_CORE_DATA_DATA_CONFIG_H_
