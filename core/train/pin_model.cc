#include "core/train/pin_model.h"

#include "absl/strings/str_cat.h"
#include "core/base/checksums.h"
#include "core/base/status.h"
#include "core/weights/model_directory.h"

namespace vit {

absl::StatusOr<ServableModel> PinModel(absl::string_view field, const std::string& text,
                                       ModelSource* models) {
  if (models == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": there are no models to take it from"));
  }
  const std::string what = absl::StrCat(field, " ", text);
  const absl::StatusOr<ModelRef> ref = ModelRef::Parse(text);
  if (!ref.ok()) return Annotate(ref.status(), what);
  absl::StatusOr<ServableModel> model = models->Find(*ref);
  if (!model.ok()) {
    const absl::Status named = Annotate(model.status(), what);
    // UNAVAILABLE would ask the caller to retry.
    return absl::IsUnavailable(named) ? absl::FailedPreconditionError(named.message()) : named;
  }
  VIT_RETURN_IF_ERROR(VerifyChecksums(model->directory, {kWeightsFile}));
  return model;
}

}  // namespace vit
