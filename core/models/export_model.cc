#include "core/models/export_model.h"

#include "absl/strings/str_cat.h"
#include "core/base/checksums.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/tensor_file/safetensors.h"
#include "core/weights/export/expressible.h"
#include "core/weights/export/foreign_model.h"
#include "core/weights/export/onnx_model.h"
#include "core/weights/model_directory.h"

namespace vit {
namespace {

namespace fs = std::filesystem;

Provenance ProvenanceOf(const vit::v1::ModelVersion& about) {
  Provenance provenance = {{"model", about.name()}, {"origin", about.origin()}};
  if (about.version() > 0) provenance["version"] = absl::StrCat(about.version());
  if (!about.source().empty()) provenance["source"] = about.source();
  if (about.has_accuracy()) provenance["accuracy"] = absl::StrCat(about.accuracy());
  if (about.has_loss()) provenance["loss"] = absl::StrCat(about.loss());
  return provenance;
}

absl::Status Export(const ServableModel& model, const Provenance& provenance,
                    vit::v1::ExportFormat format, const fs::path& directory) {
  const fs::path& source = model.directory;
  VIT_RETURN_IF_ERROR(VerifyChecksums(source, ModelFiles()));
  VIT_ASSIGN_OR_RETURN(const ModelDescription description, ReadModelDescription(source));
  if (format == vit::v1::EXPORT_FORMAT_TIMM) {
    VIT_RETURN_IF_ERROR(CheckExpressible(description.model, Program::kTimm));
    VIT_RETURN_IF_ERROR(WriteModelDescription(directory, description, provenance));
    return LinkOrCopy(source / kWeightsFile, directory / kWeightsFile);
  }
  VIT_ASSIGN_OR_RETURN(const TensorFile weights, ReadSafetensors(source / kWeightsFile));
  switch (format) {
    case vit::v1::EXPORT_FORMAT_HUGGING_FACE:
      return WriteHuggingFace(directory, weights.tensors, description, provenance);
    case vit::v1::EXPORT_FORMAT_TORCHVISION:
      return WriteTorchvision(directory, weights.tensors, description, provenance);
    case vit::v1::EXPORT_FORMAT_ONNX:
      VIT_RETURN_IF_ERROR(WriteModelDescription(directory, description, provenance));
      return WriteOnnx(directory, weights.tensors, description, provenance);
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("format ", static_cast<int>(format), " is not supported"));
  }
}

}  // namespace

absl::Status ExportModel(const ServableModel& model, const vit::v1::ModelVersion& about,
                         vit::v1::ExportFormat format, const fs::path& directory) {
  const absl::Status status = Export(model, ProvenanceOf(about), format, directory);
  if (!absl::IsFailedPrecondition(status)) {
    return Annotate(status, absl::StrCat("export ", about.name()));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "export ", about.name(), ": ", status.message(), "; the onnx format holds every model",
      format == vit::v1::EXPORT_FORMAT_TIMM ? "" : ", timm's most"));
}

}  // namespace vit
