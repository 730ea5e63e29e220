// Finds the versions of the models that a specification names as init or teacher.
#ifndef VIT_CORE_TRAIN_PIN_MODEL_H_
#define VIT_CORE_TRAIN_PIN_MODEL_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/models/servable_model.h"

namespace vit {

// The models of a specification that is being planned. Their files are held until the run keeps its
// own.
struct PinnedModels {
  std::optional<ServableModel> init;  // if init names a model rather than a file
  std::optional<ServableModel> teacher;
};

// Finds the model that `text` ("run:ID", "model:NAME", with or without a number) means now, and
// verifies the checksum of its weights. `field` names the reference in messages.
// FAILED_PRECONDITION if a run does not have a checkpoint yet, NOT_FOUND if there is no such run,
// model or version, INVALID_ARGUMENT for anything else.
absl::StatusOr<ServableModel> PinModel(absl::string_view field, const std::string& text,
                                       ModelSource* models);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_PIN_MODEL_H_
