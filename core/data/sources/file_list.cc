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
namespace {

std::string FingerprintOfFiles(const FileList& list, const std::vector<std::string>& class_names,
                               const SampleSelection& train, const SampleSelection& validation) {
  Fingerprint fingerprint;
  for (const std::string& name : class_names) fingerprint.Add(name);
  for (const SampleSelection* selection : {&train, &validation}) {
    fingerprint.Add(static_cast<int64_t>(selection->indices.size()));
    for (const int64_t index : selection->indices) {
      const FileList::Sample& sample = list.samples[selection->from][index];
      fingerprint.Add(sample.label);
      fingerprint.Add(sample.file);
      fingerprint.Add(sample.size);
    }
  }
  return fingerprint.Hex();
}

DataSetFacts WithFingerprint(DataSetFacts facts, const FileList& list) {
  const auto whole = [&](DataSplit split) {
    return WholeSplit(split, static_cast<int64_t>(list.samples[split].size()));
  };
  facts.fingerprint = FingerprintOfFiles(list, facts.class_names, whole(DataSplit::kTrain),
                                         whole(DataSplit::kValidation));
  return facts;
}

}  // namespace

FileListDataSet::FileListDataSet(FileList list, DataSetFacts facts, DataSetOptions options,
                                 bool apply_orientation)
    : DataSet(WithFingerprint(std::move(facts), list)),
      list_(std::move(list)),
      options_(std::move(options)),
      apply_orientation_(apply_orientation) {}

std::string FileListDataSet::Path(DataSplit split, int64_t index) const {
  const FileList::Sample& sample = list_.samples[split][index];
  return absl::StrCat(list_.folders[sample.folder], "/", sample.file);
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
  if (list_.samples[split][index].size == kUnreadableLink) {
    VIT_RETURN_IF_ERROR(ResolveUnderRoots(path, options_.data_roots));
    return absl::InvalidArgumentError("it was a broken link when the data was listed");
  }
  return ReadFile(path, options_.limits.max_bytes);
}

std::string FileListDataSet::FingerprintOf(const SampleSelection& train,
                                           const SampleSelection& validation) const {
  return FingerprintOfFiles(list_, class_names(), train, validation);
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
