#include "core/data/sources/file_list.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/data/sources/fingerprint.h"

namespace vit {

std::string FileListDataSet::Path(DataSplit split, int64_t index) const {
  const Sample& sample = samples(split)[index];
  return absl::StrCat(folders_[sample.folder], "/", sample.file);
}

std::string FileListDataSet::name(DataSplit split, int64_t index) const {
  const std::string path = Path(split, index);
  return Shown(path);
}

absl::StatusOr<ImagePart> FileListDataSet::LoadPart(DataSplit split, int64_t index,
                                                    const PixelRequest& request) const {
  VIT_ASSIGN_OR_RETURN(const std::string bytes, ReadEncoded(split, index));
  return DecodePart(bytes, {options_.limits, apply_orientation_}, request);
}

absl::StatusOr<std::string> FileListDataSet::ReadEncoded(DataSplit split, int64_t index) const {
  const std::string path = Path(split, index);
  if (samples(split)[index].size == kUnreadableLink) {
    VIT_RETURN_IF_ERROR(ResolveUnderRoots(path, options_.data_roots));
    return absl::InvalidArgumentError("it was a broken link when the data was listed");
  }
  return ReadFile(path, options_.limits.max_bytes);
}

std::string FileListDataSet::FingerprintOf(const SampleSelection& train,
                                           const SampleSelection& validation) const {
  Fingerprint fingerprint;
  for (const std::string& name : class_names_) fingerprint.Add(name);
  for (const SampleSelection* selection : {&train, &validation}) {
    fingerprint.Add(static_cast<int64_t>(selection->indices.size()));
    for (const int64_t index : selection->indices) {
      const Sample& sample = samples(selection->from)[index];
      fingerprint.Add(sample.label);
      fingerprint.Add(sample.file);
      fingerprint.Add(sample.size);
    }
  }
  return fingerprint.Hex();
}

void FileListDataSet::SetFingerprint() {
  fingerprint_ = FingerprintOf(WholeSplit(*this, DataSplit::kTrain),
                               WholeSplit(*this, DataSplit::kValidation));
}

absl::Status FileListDataSet::SetClasses(const ClassTable& classes) {
  VIT_ASSIGN_OR_RETURN(ClassTable::Order order, classes.Finish());
  class_names_ = std::move(order.names);
  for (std::vector<Sample>& samples : samples_) {
    for (Sample& sample : samples) sample.label = order.labels[sample.label];
  }
  return absl::OkStatus();
}

namespace {

std::string Extension(absl::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == absl::string_view::npos ? "" : absl::AsciiStrToLower(name.substr(dot + 1));
}

}  // namespace

bool HasImageExtensionV1(absl::string_view name) {
  const std::string extension = Extension(name);
  return extension == "jpg" || extension == "jpeg" || extension == "png" || extension == "webp" ||
         extension == "bmp";
}

bool HasImageExtension(absl::string_view name) {
  const std::string extension = Extension(name);
  return HasImageExtensionV1(name) || extension == "jpe" || extension == "jfif" ||
         extension == "jpg_large" || extension == "dib";
}

}  // namespace vit
