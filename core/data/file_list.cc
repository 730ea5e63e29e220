#include "core/data/file_list.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/data/sources.h"

namespace vit {

std::string FileListDataSet::Path(DataSplit split, int64_t index) const {
  const Sample& sample = samples(split)[index];
  return absl::StrCat(folders_[sample.folder], "/", sample.file);
}

std::string FileListDataSet::name(DataSplit split, int64_t index) const {
  const std::string path = Path(split, index);
  return IsPrintableUtf8(path) ? path : absl::CEscape(path);
}

absl::StatusOr<ImagePart> FileListDataSet::LoadPart(DataSplit split, int64_t index,
                                                    const PixelRequest& request) const {
  VIT_ASSIGN_OR_RETURN(const std::string bytes, ReadEncoded(split, index));
  return DecodePart(bytes, {options_.limits, apply_orientation_}, request);
}

absl::StatusOr<std::string> FileListDataSet::ReadEncoded(DataSplit split, int64_t index) const {
  return ReadFile(Path(split, index), options_.limits.max_bytes);
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

bool HasPictureExtension(absl::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == absl::string_view::npos) return false;
  const std::string extension = absl::AsciiStrToLower(name.substr(dot + 1));
  return extension == "jpg" || extension == "jpeg" || extension == "png" || extension == "webp" ||
         extension == "bmp";
}

std::vector<std::string> OrderClassNames(std::vector<std::string> labels) {
  const auto is_number = [](const std::string& label) {
    return !label.empty() && (label == "0" || label[0] != '0') &&
           std::all_of(label.begin(), label.end(), absl::ascii_isdigit);
  };
  const bool numbers = std::all_of(labels.begin(), labels.end(), is_number);
  std::sort(labels.begin(), labels.end(), [&](const std::string& a, const std::string& b) {
    return numbers && a.size() != b.size() ? a.size() < b.size() : a < b;
  });
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  return labels;
}

}  // namespace vit
