// Models for other programs.
#ifndef VIT_CORE_MODELS_EXPORT_MODEL_H_
#define VIT_CORE_MODELS_EXPORT_MODEL_H_

#include <filesystem>

#include "absl/status/status.h"
#include "core/models/servable_model.h"
#include "vit/v1/repository.pb.h"

namespace vit {

// Fills `directory`, which exists, with `model` in `format`; `about` is what is known of where it
// comes from. FAILED_PRECONDITION where the format cannot say what the model has, DATA_LOSS where
// its checksums do not hold.
absl::Status ExportModel(const ServableModel& model, const vit::v1::ModelVersion& about,
                         vit::v1::ExportFormat format, const std::filesystem::path& directory);

}  // namespace vit

#endif  // VIT_CORE_MODELS_EXPORT_MODEL_H_
