#include "core/data/sources/csv/csv_list.h"

#include <errno.h>
#include <sys/stat.h>

#include <filesystem>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/data/sources/class_names.h"
#include "core/data/sources/csv/csv_columns.h"
#include "core/data/sources/csv/csv_reader.h"
#include "core/data/sources/csv/csv_text.h"
#include "core/data/sources/file_list.h"
#include "core/data/sources/split_words.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

constexpr int64_t kMaxBytes = int64_t{1} << 30;

struct Row {
  int64_t line = 0;
  std::string file;
  std::string label;
  SplitWord split = SplitWord::kTrain;
};

absl::Status At(int64_t line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", what));
}

// Reads a table row by row.
class RowReader {
 public:
  RowReader(absl::string_view table, const CsvColumns& columns)
      : columns_(columns), reader_(table, columns.separator) {}

  // False at the end.
  absl::StatusOr<bool> Next(Row* row) {
    if (reader_.line() == 0) VIT_RETURN_IF_ERROR(reader_.Next(&fields_));  // the headings
    VIT_ASSIGN_OR_RETURN(const bool any, reader_.Next(&fields_));
    if (!any) return false;
    row->line = reader_.line();
    if (static_cast<int>(fields_.size()) != columns_.count) {
      return At(row->line, absl::StrCat(fields_.size(), fields_.size() == 1 ? " field" : " fields",
                                        " but the first line has ", columns_.count));
    }
    row->file = std::move(fields_[columns_.file]);
    row->label = std::move(fields_[columns_.label]);
    if (row->file.empty() || row->file.find('\0') != std::string::npos) {
      return At(row->line, "file is empty or not a file name");
    }
    if (absl::StripAsciiWhitespace(row->label).empty()) return At(row->line, "label is empty");
    if (columns_.split < 0) return true;
    const std::string& word = fields_[columns_.split];
    const std::optional<SplitWord> split = ParseSplitWord(absl::StripAsciiWhitespace(word));
    if (!split.has_value()) {
      return At(row->line,
                absl::StrCat("split is '", Shown(word), "'; expected train, val or test"));
    }
    row->split = *split;
    return true;
  }

 private:
  const CsvColumns columns_;
  CsvReader reader_;
  std::vector<std::string> fields_;
};

// Whether there is a row for validation before the first row that cannot be read.
bool HasValidationRows(absl::string_view table, const CsvColumns& columns) {
  if (columns.split < 0) return false;
  RowReader reader(table, columns);
  Row row;
  while (reader.Next(&row).value_or(false)) {
    if (row.split == SplitWord::kValidation) return true;
  }
  return false;
}

// Finds the files that a table names.
class FileFinder {
 public:
  explicit FileFinder(const std::vector<std::string>& roots) : roots_(roots) {}

  struct Found {
    std::string extension;  // to append to the given name
    int64_t size = 0;       // in bytes, or kUnreadableLink
  };
  // Finds the image at `path`, or at `path` with an image's extension if there is one such file. It
  // must lie under the data roots; a link to a file may be broken or lead out of them.
  absl::StatusOr<Found> Find(const fs::path& path);

 private:
  // The files of a folder with an image's extension: the extensions by the names without them.
  using Stems = std::unordered_multimap<std::string, std::string>;

  absl::StatusOr<int64_t> SizeOf(const fs::path& file) const;
  absl::StatusOr<std::string> FindExtension(const fs::path& folder, const std::string& stem);

  const std::vector<std::string>& roots_;
  std::unordered_map<std::string, fs::path> resolved_;  // folders found so far
  std::unordered_map<std::string, Stems> stems_;
};

absl::StatusOr<int64_t> FileFinder::SizeOf(const fs::path& file) const {
  struct stat info;
  if (lstat(file.c_str(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("path '", Shown(file.string()), "'"));
  }
  if (S_ISLNK(info.st_mode)) {
    const absl::StatusOr<fs::path> target = ResolveUnderRoots(file.string(), roots_);
    const bool leads_on = stat(file.c_str(), &info) == 0;
    if (!target.ok() && leads_on && S_ISDIR(info.st_mode)) return target.status();
    if (!target.ok() || !leads_on) return kUnreadableLink;
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(Shown(file.string()), " is not a file"));
  }
  return info.st_size;
}

absl::StatusOr<std::string> FileFinder::FindExtension(const fs::path& folder,
                                                      const std::string& stem) {
  const auto [entry, is_new] = stems_.try_emplace(folder.string());
  if (is_new) {
    std::error_code code;
    for (const auto& file : fs::directory_iterator(folder, code)) {
      const fs::path name = file.path().filename();
      if (HasImageExtension(name.string())) {
        entry->second.emplace(name.stem().string(), name.extension().string());
      }
    }
  }
  const auto [first, end] = entry->second.equal_range(stem);
  if (first == end) return std::string();
  if (std::next(first) != end) {
    return absl::InvalidArgumentError(
        absl::StrCat("several files match '", Shown(stem), "': with ", first->second, " and with ",
                     std::next(first)->second, "; add the extension"));
  }
  return first->second;
}

absl::StatusOr<FileFinder::Found> FileFinder::Find(const fs::path& path) {
  // Most files share few folders, and are not links.
  fs::path& folder = resolved_[path.parent_path().string()];
  if (folder.empty()) {
    VIT_ASSIGN_OR_RETURN(folder, ResolveUnderRoots(path.parent_path().string(), roots_));
  }
  const std::string name = path.filename().string();
  absl::StatusOr<int64_t> size = SizeOf(folder / name);
  if (size.ok()) return Found{"", *size};
  VIT_ASSIGN_OR_RETURN(const std::string extension, FindExtension(folder, name));
  if (extension.empty()) return size.status();
  VIT_ASSIGN_OR_RETURN(const int64_t found, SizeOf(folder / (name + extension)));
  return Found{extension, found};
}

// Adds the sample of a row; its label is a number from `classes`. folders[0] is the table's folder,
// folders[1] the root of absolute paths.
absl::Status AddRow(const Row& row, FileFinder* finder, ClassTable* classes, FileList* files) {
  constexpr int32_t kRelative = 0, kAbsolute = 1;
  const DataSplit split =
      row.split == SplitWord::kTrain ? DataSplit::kTrain : DataSplit::kValidation;
  VIT_ASSIGN_OR_RETURN(const int32_t label, classes->Add(split, row.label, [&] {
    return absl::StrCat("line ", row.line);
  }));
  const bool absolute = row.file[0] == '/';
  const absl::StatusOr<FileFinder::Found> found =
      finder->Find(absolute ? fs::path(row.file) : fs::path(files->folders[kRelative]) / row.file);
  if (!found.ok()) return Annotate(found.status(), absl::StrCat("line ", row.line));
  files->samples[split].push_back(
      {absolute ? kAbsolute : kRelative, label,
       absl::StrCat(row.file.substr(absolute ? 1 : 0), found->extension), found->size});
  return absl::OkStatus();
}

// Reads the table. The facts' fingerprint is not set yet.
absl::Status ReadTable(const fs::path& table, int listing_version,
                       const std::vector<std::string>& data_roots, FileList* files,
                       DataSetFacts* facts) {
  VIT_ASSIGN_OR_RETURN(std::string bytes, ReadFile(table, kMaxBytes));
  VIT_ASSIGN_OR_RETURN(const std::string text, DecodeTable(std::move(bytes)));
  VIT_ASSIGN_OR_RETURN(const CsvColumns columns, FindCsvColumns(text, listing_version));
  const bool has_validation = HasValidationRows(text, columns);
  files->folders = {table.parent_path().string(), ""};
  FileFinder finder(data_roots);
  ClassTable classes(listing_version);
  RowReader reader(text, columns);
  Row row;
  int64_t rows = 0, unused = 0;
  while (true) {
    VIT_ASSIGN_OR_RETURN(const bool any, reader.Next(&row));
    if (!any) break;
    ++rows;
    if (row.split == SplitWord::kTest && has_validation) {
      ++unused;
    } else {
      VIT_RETURN_IF_ERROR(AddRow(row, &finder, &classes, files));
    }
  }
  if (files->samples.train.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no training images among ", rows, rows == 1 ? " row" : " rows"));
  }
  if (unused > 0) {
    facts->notes.push_back(absl::StrCat("not used: the ", unused, unused == 1 ? " row" : " rows",
                                        " for test, as there are rows for validation"));
  } else if (!has_validation && !files->samples.validation.empty()) {
    facts->notes.push_back(
        "the rows for test are the source's validation split, as there are none for validation");
  }
  VIT_ASSIGN_OR_RETURN(facts->class_names, OrderClasses(classes, &files->samples));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DataSet>> OpenCsvList(const std::string& path,
                                                           const vit::v1::DataConfig& config,
                                                           const DataSetOptions& options) {
  VIT_ASSIGN_OR_RETURN(const fs::path table, ResolveUnderRoots(path, options.data_roots));
  FileList files;
  DataSetFacts facts;
  VIT_RETURN_IF_ERROR(
      ReadTable(table, config.listing_version(), options.data_roots, &files, &facts));
  return std::make_shared<FileListDataSet>(std::move(files), std::move(facts), options,
                                           config.apply_orientation());
}

}  // namespace vit
