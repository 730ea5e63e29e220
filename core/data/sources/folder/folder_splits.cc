#include "core/data/sources/folder/folder_splits.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/data/sources/split_words.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

// A folder that is named like a split.
struct Candidate {
  std::string name;
  FolderListing listing;

  bool holds_folders() const { return !listing.folders.empty(); }
  bool holds_images() const { return !listing.images.empty(); }
  bool is_shaped_as_split() const { return holds_folders() && !holds_images(); }
};

// "train/, val/"
std::string Names(const std::vector<std::string>& folders) {
  return absl::StrJoin(folders, ", ", [](std::string* out, const std::string& folder) {
    absl::StrAppend(out, folder, "/");
  });
}

class SplitFinder {
 public:
  SplitFinder(const fs::path& root, const std::vector<std::string>& roots)
      : root_(root), roots_(roots) {}

  absl::StatusOr<FolderSplits> Run(const FolderListing& listing);

 private:
  absl::Status Sort(const FolderListing& listing);
  // Whether the one folder named like the training split is the split, not a class.
  absl::StatusOr<bool> HasTrainSplit() const;
  // Whether a validation or test folder holds folders that `listing` has too.
  bool IsMirrored(const FolderListing& listing) const;
  absl::Status CheckClasses(const FolderListing& listing) const;
  absl::StatusOr<FolderSplits> TakeSplits() const;
  absl::Status Ambiguous(const std::vector<Candidate>& two, absl::string_view split) const;

  const fs::path& root_;
  const std::vector<std::string>& roots_;
  std::vector<Candidate> train_, validation_, test_;
  std::vector<std::string> others_;
};

absl::Status SplitFinder::Sort(const FolderListing& listing) {
  for (const FolderListing::Folder& folder : listing.folders) {
    const std::optional<SplitWord> word = ParseSplitWord(folder.name);
    if (!word.has_value()) {
      others_.push_back(folder.name);
      continue;
    }
    VIT_ASSIGN_OR_RETURN(FolderListing inner, ListFolder(root_ / folder.name, roots_));
    std::vector<Candidate>& candidates = *word == SplitWord::kTrain        ? train_
                                         : *word == SplitWord::kValidation ? validation_
                                                                           : test_;
    candidates.push_back({folder.name, std::move(inner)});
  }
  return absl::OkStatus();
}

absl::Status SplitFinder::Ambiguous(const std::vector<Candidate>& two,
                                    absl::string_view split) const {
  return absl::InvalidArgumentError(absl::StrCat(root_.string(), " has both ", two[0].name,
                                                 "/ and ", two[1].name, "/, and each could be the ",
                                                 split, " split; rename or remove one of them"));
}

bool SplitFinder::IsMirrored(const FolderListing& listing) const {
  for (const auto* candidates : {&validation_, &test_}) {
    for (const Candidate& candidate : *candidates) {
      if (!candidate.is_shaped_as_split()) continue;
      for (const FolderListing::Folder& folder : candidate.listing.folders) {
        if (listing.HasFolder(folder.name)) return true;
      }
    }
  }
  return false;
}

absl::StatusOr<bool> SplitFinder::HasTrainSplit() const {
  if (train_.empty()) return false;
  // If all folders have such names, they are not classes.
  const bool only_splits = others_.empty();
  const bool any_holds_folders =
      std::any_of(train_.begin(), train_.end(), [](const auto& c) { return c.holds_folders(); });
  if (!any_holds_folders) {
    if (!only_splits) return false;
    if (train_.size() + validation_.size() + test_.size() == 1) return true;  // reported when read
    std::vector<std::string> names;
    for (const auto* candidates : {&train_, &validation_, &test_}) {
      for (const Candidate& candidate : *candidates) names.push_back(candidate.name);
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "no class folders under ", (root_ / train_.front().name).string(), " (", root_.string(),
        " holds only ", Names(names), "); for splits, expected ", train_.front().name,
        "/<class>/*.jpg; for classes of these names, list their images in a csv: file"));
  }
  if (train_.size() > 1) return Ambiguous(train_, "training");
  const Candidate& train = train_.front();
  std::string class_like;
  for (const std::string& other : others_) {
    VIT_ASSIGN_OR_RETURN(const bool any, HasImages(root_ / other, roots_));
    if (any) {
      class_like = other;
      break;
    }
  }
  if (class_like.empty() || IsMirrored(train.listing)) return true;
  if (train.holds_images()) return false;  // a class like the others, with some images nested
  return absl::InvalidArgumentError(absl::StrCat(
      root_.string(), " has ", train.name, "/, which contains folders like a split, and ",
      class_like, "/, which contains images like a class; for the split, name the source folder:",
      (root_ / train.name).string(), " or move ", class_like,
      "/ away; for a class, move the images in the folders of ", train.name, "/ up into it"));
}

// Checks the layout with the root's own folders as the classes.
absl::Status SplitFinder::CheckClasses(const FolderListing& listing) const {
  for (const auto* candidates : {&validation_, &test_}) {
    for (const Candidate& candidate : *candidates) {
      const bool split_of_these =
          candidate.is_shaped_as_split() &&
          std::all_of(
              candidate.listing.folders.begin(), candidate.listing.folders.end(),
              [&](const FolderListing::Folder& folder) { return listing.HasFolder(folder.name); });
      if (!split_of_these && (!others_.empty() || !train_.empty() || !candidate.holds_folders())) {
        continue;
      }
      return absl::InvalidArgumentError(
          absl::StrCat(root_.string(), " has ", candidate.name,
                       "/ but no train/; expected train/<class>/*.jpg beside it"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<FolderSplits> SplitFinder::TakeSplits() const {
  FolderSplits splits;
  splits.train = train_.front().name;
  std::vector<std::string> unused = others_;
  const auto unused_too = [&](const Candidate& candidate) { unused.push_back(candidate.name); };
  if (validation_.size() > 1) return Ambiguous(validation_, "validation");
  if (!validation_.empty()) {
    splits.validation = validation_.front().name;
    splits.notes.push_back(absl::StrCat(splits.validation, "/ is the source's validation split"));
    std::for_each(test_.begin(), test_.end(), unused_too);
  } else {
    std::vector<Candidate> labelled;
    for (const Candidate& test : test_) {
      if (test.holds_folders()) {
        labelled.push_back(test);
      } else {
        unused_too(test);
      }
    }
    if (labelled.size() > 1) return Ambiguous(labelled, "test");
    if (!labelled.empty()) {
      splits.validation = labelled.front().name;
      splits.notes.push_back(absl::StrCat(splits.validation,
                                          "/ is the source's validation split, as there is no "
                                          "folder for validation"));
    }
  }
  std::sort(unused.begin(), unused.end());
  if (!unused.empty()) {
    splits.notes.push_back(
        absl::StrCat("not used: ", Names(unused), " beside ", splits.train, "/"));
  }
  return splits;
}

absl::StatusOr<FolderSplits> SplitFinder::Run(const FolderListing& listing) {
  VIT_RETURN_IF_ERROR(Sort(listing));
  VIT_ASSIGN_OR_RETURN(const bool has_train_split, HasTrainSplit());
  if (has_train_split) return TakeSplits();
  VIT_RETURN_IF_ERROR(CheckClasses(listing));
  return FolderSplits{};
}

}  // namespace

absl::StatusOr<FolderSplits> FindFolderSplits(const fs::path& root, const FolderListing& listing,
                                              const std::vector<std::string>& roots) {
  return SplitFinder(root, roots).Run(listing);
}

}  // namespace vit
