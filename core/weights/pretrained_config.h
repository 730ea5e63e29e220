// What accompanies weights in a folder: timm's, Hugging Face's and vitd's own config.json.
#ifndef VIT_CORE_WEIGHTS_PRETRAINED_CONFIG_H_
#define VIT_CORE_WEIGHTS_PRETRAINED_CONFIG_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "vit/v1/data.pb.h"
#include "vit/v1/model.pb.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Only what the folder's files say is set.
struct PretrainedConfig {
  vit::v1::ModelConfig model;
  // mean, std, interpolation, eval.crop_pct, apply_orientation.
  vit::v1::DataConfig preprocessing;
  vit::v1::Precision precision = vit::v1::PRECISION_UNSPECIFIED;
  std::vector<std::string> labels;  // in the head's order
};

// Reads config.json, preprocessor_config.json (Hugging Face) and labels.txt of `directory`, each if
// it exists; links may only lead into it or under one of `data_roots`. INVALID_ARGUMENT for one
// that cannot be parsed, and for an architecture with parts that vitd does not have, naming the
// file and the part.
absl::StatusOr<PretrainedConfig> ReadPretrainedConfig(const std::filesystem::path& directory,
                                                      absl::Span<const std::string> data_roots);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_PRETRAINED_CONFIG_H_
