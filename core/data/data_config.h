// Checks of DataConfig.
#ifndef VIT_CORE_DATA_DATA_CONFIG_H_
#define VIT_CORE_DATA_DATA_CONFIG_H_

#include "absl/status/status.h"
#include "vit/v1/data.pb.h"

namespace vit {

// Checks a config, with defaults for fields that are not set, without opening the source: the rules
// of each field, and that the fields fit together. INVALID_ARGUMENT names the field, as in
// "data.train.scale_min".
absl::Status ValidateDataConfig(const vit::v1::DataConfig& given);

// Sets listing version 1 in a stored effective specification that does not have a version: it is
// from before listing versions existed, and its data was listed that way.
void MarkStoredListing(vit::v1::DataConfig* config);

// Returns the side of the images that evaluation and Classify make for a model of `image_size`.
int EvalImageSize(const vit::v1::DataConfig& config, int image_size);

}  // namespace vit

#endif  // VIT_CORE_DATA_DATA_CONFIG_H_
