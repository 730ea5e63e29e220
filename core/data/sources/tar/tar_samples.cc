#include "core/data/sources/tar/tar_samples.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/data/image/image_format.h"
#include "core/data/sources/file_list.h"
#include "core/data/sources/tar/tar_reader.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

constexpr int64_t kMaxLabelBytes = 256;
constexpr int64_t kMaxJsonBytes = 1 << 20;

// Assembles the samples of one archive from its files.
class Grouper {
 public:
  Grouper(const fs::path& path, int listing_version) : path_(path), is_v1_(listing_version == 1) {}

  absl::StatusOr<TarSamples> Run();

 private:
  // What is known about the sample that is being assembled.
  struct Parts {
    std::string key;
    std::string label;
    std::optional<TarMember> json;
    std::optional<TarMember> image;
    // Recognized only by its content; used if the sample has no other image.
    std::optional<TarMember> unnamed_image;
    bool passed_over_image = false;
  };

  absl::Status Add(const TarMember& member);
  // `extension`: the name after its first dot, in lower case.
  absl::Status AddPart(const TarMember& member, const std::string& extension);
  absl::Status AddLabel(const TarMember& member);
  absl::Status AddImage(const TarMember& member, const std::string& extension);
  // Adds what listing version 1 does not read.
  absl::Status AddOther(const TarMember& member, const std::string& extension);
  absl::Status Begin(absl::string_view key);
  // Called when the sample is complete.
  absl::Status Finish();
  absl::Status FindLabel();
  // Returns the label in KEY.json; empty if it does not have one.
  absl::StatusOr<std::string> JsonLabel();
  // Checks what is left of a sample without an image.
  absl::Status LeaveOver();
  absl::StatusOr<RecognizedImage> Recognize(const TarMember& member);
  void PassOver(absl::string_view kind, const TarMember& member) {
    if (!is_v1_) archive_.passed_over.Add(kind, absl::StrCat(path_.string(), ":", member.name));
  }
  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat(path_.string(), ": sample ", Shown(parts_.key), " ", what));
  }

  const fs::path path_;
  const bool is_v1_;
  std::optional<TarReader> tar_;
  TarSamples archive_;
  Parts parts_;
  std::unordered_set<std::string> finished_;  // keys
  std::string dotted_image_;                  // key of the last one passed over
};

absl::StatusOr<TarSamples> Grouper::Run() {
  VIT_ASSIGN_OR_RETURN(TarReader tar, TarReader::Open(path_));
  tar_.emplace(std::move(tar));
  TarMember member;
  while (true) {
    VIT_ASSIGN_OR_RETURN(const bool any, tar_->Next(&member));
    if (!any) break;
    VIT_RETURN_IF_ERROR(Add(member));
  }
  VIT_RETURN_IF_ERROR(Finish());
  if (!is_v1_ && tar_->links() > 0) {
    archive_.passed_over.Add("a link in an archive",
                             absl::StrCat(path_.string(), ":", tar_->first_link()), tar_->links());
  }
  return std::move(archive_);
}

absl::Status Grouper::Add(const TarMember& member) {
  const size_t base = member.name.rfind('/') + 1;  // npos + 1 is 0
  const size_t dot = std::min(member.name.find('.', base), member.name.size());
  // Hidden files: macOS puts "._name" beside each file.
  if (dot == base || (is_v1_ && dot == member.name.size())) return absl::OkStatus();
  if (!is_v1_ && absl::StrContains(absl::StrCat("/", member.name), "/__MACOSX/")) {
    return absl::OkStatus();
  }
  const absl::string_view key = absl::string_view(member.name).substr(0, dot);
  const std::string extension = absl::AsciiStrToLower(
      absl::string_view(member.name).substr(std::min(dot + 1, member.name.size())));
  // Such a file could belong to another key, which ends with the first of its extensions.
  if (!is_v1_ && absl::StrContains(extension, ".")) {
    if (HasImageExtension(member.name)) {
      dotted_image_ = std::string(key);
      parts_.passed_over_image = parts_.passed_over_image || key == parts_.key;
    }
    PassOver("a dot in the key or two extensions", member);
    return absl::OkStatus();
  }
  if (key != parts_.key) {
    VIT_RETURN_IF_ERROR(Finish());
    VIT_RETURN_IF_ERROR(Begin(key));
  }
  return AddPart(member, extension);
}

absl::Status Grouper::Begin(absl::string_view key) {
  parts_ = {};
  parts_.key = std::string(key);
  parts_.passed_over_image = parts_.key == dotted_image_;
  if (is_v1_ || finished_.count(parts_.key) == 0) return absl::OkStatus();
  return Error(
      "occurs twice: its files are not adjacent, or the archive contains one of them twice; write "
      "the archive with tar --sort=name");
}

absl::Status Grouper::AddPart(const TarMember& member, const std::string& extension) {
  if (extension == "cls") return AddLabel(member);
  const std::string name = absl::StrCat(".", extension);
  if (is_v1_ ? HasImageExtensionV1(name) && !absl::StrContains(extension, ".")
             : HasImageExtension(name)) {
    return AddImage(member, extension);
  }
  return is_v1_ ? absl::OkStatus() : AddOther(member, extension);
}

absl::Status Grouper::AddLabel(const TarMember& member) {
  VIT_ASSIGN_OR_RETURN(const std::string label, tar_->Read(member, kMaxLabelBytes));
  if (!parts_.label.empty()) return Error("has two .cls files");
  parts_.label = std::string(absl::StripAsciiWhitespace(label));
  return parts_.label.empty() ? Error("has an empty .cls file") : absl::OkStatus();
}

absl::Status Grouper::AddImage(const TarMember& member, const std::string& extension) {
  if (!is_v1_ && extension == "webp") {
    VIT_ASSIGN_OR_RETURN(const RecognizedImage image, Recognize(member));
    if (image.name == "animated WebP") {
      parts_.passed_over_image = true;
      PassOver(image.name, member);
      return absl::OkStatus();
    }
  }
  if (parts_.image.has_value()) {
    return Error("has two images; expected one (.jpg, .png, .webp or .bmp)");
  }
  parts_.image = member;
  return absl::OkStatus();
}

absl::Status Grouper::AddOther(const TarMember& member, const std::string& extension) {
  if (extension == "json") {
    parts_.json = member;
    return absl::OkStatus();
  }
  VIT_ASSIGN_OR_RETURN(const RecognizedImage image, Recognize(member));
  if (image.readable && !parts_.unnamed_image.has_value()) {
    parts_.unnamed_image = member;
  } else {
    parts_.passed_over_image = parts_.passed_over_image || !image.name.empty();
    PassOver(image.name.empty() ? "not an image" : image.name, member);
  }
  return absl::OkStatus();
}

absl::StatusOr<RecognizedImage> Grouper::Recognize(const TarMember& member) {
  VIT_ASSIGN_OR_RETURN(const absl::string_view start, tar_->ReadStart(member, kImageStartBytes));
  return RecognizeImage(start);
}

absl::StatusOr<std::string> Grouper::JsonLabel() {
  VIT_ASSIGN_OR_RETURN(const std::string text, tar_->Read(*parts_.json, kMaxJsonBytes));
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Error("has a .json file that is not JSON");
  const auto label = json.is_object() ? json.find("label") : json.end();
  if (!json.is_object() || label == json.end()) return std::string();
  std::string text_of_label;
  if (label->is_number_integer()) {
    text_of_label = label->dump();
  } else if (label->is_string()) {
    text_of_label = label->get<std::string>();
  } else {
    return Error("has a label in its .json file that is neither text nor a whole number");
  }
  if (text_of_label.empty()) return Error("has an empty label in its .json file");
  return text_of_label;
}

absl::Status Grouper::FindLabel() {
  if (parts_.label.empty() && parts_.json.has_value()) {
    VIT_ASSIGN_OR_RETURN(parts_.label, JsonLabel());
  }
  if (!parts_.label.empty()) {
    if (archive_.first_labelled.empty()) archive_.first_labelled = parts_.key;
    return absl::OkStatus();
  }
  // Otherwise the folder's name.
  const std::vector<absl::string_view> names = absl::StrSplit(parts_.key, '/');
  if (names.size() >= 2) parts_.label = std::string(names[names.size() - 2]);
  if (archive_.first_by_folder.empty()) archive_.first_by_folder = parts_.key;
  if (!parts_.label.empty()) return absl::OkStatus();
  return Error(is_v1_ ? "has no class: neither a .cls file nor a folder's name"
                      : "has no class: neither a .cls file, nor a label in a .json file, nor a "
                        "folder's name");
}

absl::Status Grouper::LeaveOver() {
  if (is_v1_ || parts_.passed_over_image) return absl::OkStatus();
  std::string label = parts_.label;
  if (label.empty() && parts_.json.has_value()) {
    VIT_ASSIGN_OR_RETURN(label, JsonLabel());
    if (label.empty()) PassOver("a .json file without an image", *parts_.json);
  }
  if (label.empty()) return absl::OkStatus();
  return Error(absl::StrCat("has a ", parts_.label.empty() ? ".json" : ".cls",
                            " file but no image: its files are not adjacent, or the image is "
                            "missing; write the archive with tar --sort=name"));
}

absl::Status Grouper::Finish() {
  if (parts_.key.empty()) return absl::OkStatus();
  if (parts_.image.has_value() && parts_.unnamed_image.has_value()) {
    PassOver("a second image of a sample", *parts_.unnamed_image);
  } else if (parts_.unnamed_image.has_value()) {
    parts_.image = parts_.unnamed_image;
  }
  if (parts_.image.has_value()) {
    VIT_RETURN_IF_ERROR(FindLabel());
    archive_.samples.push_back(
        {parts_.key, std::move(parts_.label), parts_.image->offset, parts_.image->size});
  } else {
    VIT_RETURN_IF_ERROR(LeaveOver());
  }
  if (!is_v1_) finished_.insert(std::move(parts_.key));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TarSamples> ReadTarSamples(const fs::path& archive, int listing_version) {
  return Grouper(archive, listing_version).Run();
}

}  // namespace vit
