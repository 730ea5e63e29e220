#include "core/data/sources/folder/image_folder.h"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/data/sources/class_names.h"
#include "core/data/sources/file_list.h"
#include "core/data/sources/folder/folder_listing.h"
#include "core/data/sources/folder/folder_splits.h"
#include "core/data/sources/folder/image_folder_v1.h"
#include "core/data/sources/passed_over_counts.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

// "12 not an image, 3 GIF"
std::string Describe(const PassedOverCounts& files) {
  if (files.files().empty()) return "nothing";
  return absl::StrJoin(files.files(), ", ", [](std::string* out, const PassedOver& one) {
    absl::StrAppend(out, one.count, " ", one.kind);
  });
}

// A list of files, and what it says as a whole; the fingerprint is not set yet.
struct ListedFolder {
  FileList files;
  DataSetFacts facts;
};

// Lists the classes and images of a folder, with listing version 2.
class ImageFolderLister {
 public:
  explicit ImageFolderLister(const std::vector<std::string>& data_roots) : roots_(data_roots) {}

  absl::StatusOr<ListedFolder> List(const fs::path& root) &&;

 private:
  // Adds the images of the class folders in `tree`, and their classes. `expected` describes the
  // layout, for messages.
  absl::Status AddTree(const fs::path& tree, DataSplit split, absl::string_view expected,
                       ClassTable* classes);
  absl::Status AddClass(const fs::path& folder, DataSplit split, ClassTable* classes);

  const std::vector<std::string>& roots_;
  FileList files_;
  PassedOverCounts passed_over_;
};

absl::StatusOr<ListedFolder> ImageFolderLister::List(const fs::path& root) && {
  VIT_ASSIGN_OR_RETURN(const FolderListing listing, ListFolder(root, roots_));
  VIT_ASSIGN_OR_RETURN(const FolderSplits splits, FindFolderSplits(root, listing, roots_));
  ClassTable classes(/*listing_version=*/2);
  if (splits.train.empty()) {
    VIT_RETURN_IF_ERROR(
        AddTree(root, DataSplit::kTrain, "train/<class>/*.jpg or <class>/*.jpg", &classes));
  } else {
    passed_over_.AddAll(listing.passed_over);
    for (const FolderListing::File& file : listing.images) {
      passed_over_.Add("an image outside of the class folders", (root / file.name).string());
    }
    VIT_RETURN_IF_ERROR(AddTree(root / splits.train, DataSplit::kTrain,
                                absl::StrCat(splits.train, "/<class>/*.jpg"), &classes));
  }
  if (!splits.validation.empty()) {
    VIT_RETURN_IF_ERROR(AddTree(root / splits.validation, DataSplit::kValidation,
                                absl::StrCat(splits.validation, "/<class>/*.jpg"), &classes));
  }
  VIT_ASSIGN_OR_RETURN(std::vector<std::string> names, OrderClasses(classes, &files_.samples));
  return ListedFolder{std::move(files_),
                      {.class_names = std::move(names),
                       .notes = splits.notes,
                       .passed_over = passed_over_.files()}};
}

absl::Status ImageFolderLister::AddTree(const fs::path& tree, DataSplit split,
                                        absl::string_view expected, ClassTable* classes) {
  VIT_ASSIGN_OR_RETURN(const FolderListing listing, ListFolder(tree, roots_));
  if (listing.folders.empty()) {
    int64_t files = static_cast<int64_t>(listing.images.size());
    for (const PassedOver& others : listing.passed_over.files()) files += others.count;
    return absl::InvalidArgumentError(
        absl::StrCat("no class folders under ", tree.string(), " (found 0 directories, ", files,
                     files == 1 ? " file" : " files", "); expected ", expected));
  }
  passed_over_.AddAll(listing.passed_over);
  for (const FolderListing::File& file : listing.images) {
    passed_over_.Add("an image outside of the class folders", (tree / file.name).string());
  }
  for (const FolderListing::Folder& folder : listing.folders) {
    VIT_RETURN_IF_ERROR(AddClass(tree / folder.name, split, classes));
  }
  return absl::OkStatus();
}

absl::Status ImageFolderLister::AddClass(const fs::path& folder, DataSplit split,
                                         ClassTable* classes) {
  VIT_ASSIGN_OR_RETURN(const int32_t label, classes->Add(split, folder.filename().string(), [&] {
    const std::string path = folder.string();
    return absl::StrCat("folder ", Shown(path));
  }));
  VIT_ASSIGN_OR_RETURN(FolderListing tree, ListTree(folder, roots_));
  if (tree.images.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "class folder ", folder.string(), " has no images (found ", Describe(tree.passed_over),
        "); expected JPEG, PNG, WebP or BMP files in it or below it, or remove it"));
  }
  passed_over_.AddAll(tree.passed_over);
  for (FolderListing::File& file : tree.images) {
    files_.samples[split].push_back(
        {static_cast<int32_t>(files_.folders.size()), label, std::move(file.name), file.size});
  }
  files_.folders.push_back(folder.string());
  return absl::OkStatus();
}

absl::StatusOr<ListedFolder> ListV1(const fs::path& root,
                                    const std::vector<std::string>& data_roots) {
  VIT_ASSIGN_OR_RETURN(ImageFolderV1 listed, ListImageFolderV1(root, data_roots));
  ListedFolder all{.facts = {.class_names = std::move(listed.class_names)}};
  FileList& files = all.files;
  for (const DataSplit split : kDataSplits) {
    for (ImageFolderV1::Class& one : listed.classes[split]) {
      for (auto& [file, size] : one.images) {
        files.samples[split].push_back(
            {static_cast<int32_t>(files.folders.size()), one.label, std::move(file), size});
      }
      files.folders.push_back(std::move(one.folder));
    }
  }
  return all;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DataSet>> OpenImageFolder(const std::string& path,
                                                               const vit::v1::DataConfig& config,
                                                               const DataSetOptions& options) {
  VIT_ASSIGN_OR_RETURN(const fs::path root, ResolveUnderRoots(path, options.data_roots));
  VIT_ASSIGN_OR_RETURN(ListedFolder listed, config.listing_version() == 1
                                                ? ListV1(root, options.data_roots)
                                                : ImageFolderLister(options.data_roots).List(root));
  return std::make_shared<FileListDataSet>(std::move(listed.files), std::move(listed.facts),
                                           options, config.apply_orientation());
}

}  // namespace vit
