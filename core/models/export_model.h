// Exports models for other programs.
#ifndef VIT_CORE_MODELS_EXPORT_MODEL_H_
#define VIT_CORE_MODELS_EXPORT_MODEL_H_

#include <filesystem>

#include "absl/status/status.h"
#include "core/models/servable_model.h"
#include "vit/v1/repository.pb.h"

namespace vit {

// Fills `directory`, which exists, with `model` in `format`; `about` says where it comes from.
// FAILED_PRECONDITION if the format cannot express the model, DATA_LOSS if its checksums do not
// match.
absl::Status ExportModel(const ServableModel& model, const vit::v1::ModelVersion& about,
                         vit::v1::ExportFormat format, const std::filesystem::path& directory);

}  // namespace vit

#endif  // VIT_CORE_MODELS_EXPORT_MODEL_H_
