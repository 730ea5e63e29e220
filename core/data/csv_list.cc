// csv:PATH, a table with the columns file, label and, if wanted, split.
#include <errno.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/data/csv_reader.h"
#include "core/data/file_list.h"
#include "core/data/sources.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

constexpr int64_t kMaxBytes = int64_t{1} << 30;

// "test" stands in for a validation split where there is none, as in a folder.
enum class Part { kTrain, kValidation, kTest };

struct Row {
  int64_t line;
  std::string file;
  std::string label;
  Part part = Part::kTrain;
};

absl::Status At(int64_t line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", what));
}

std::string Shown(absl::string_view text) {
  return IsPrintableUtf8(text) ? std::string(text) : absl::CEscape(text);
}

// Where the columns are that are read.
struct Columns {
  int count = 0;
  int file = -1;
  int label = -1;
  int split = -1;
};

absl::StatusOr<Columns> ReadHeader(CsvReader* reader) {
  std::vector<std::string> names;
  VIT_ASSIGN_OR_RETURN(const bool any, reader->Next(&names));
  if (!any) {
    return absl::InvalidArgumentError(
        "the file is empty; expected a first line 'file,label' or 'file,label,split'");
  }
  Columns columns;
  columns.count = static_cast<int>(names.size());
  for (int i = 0; i < columns.count; ++i) {
    for (const auto& [name, column] :
         {std::pair{"file", &columns.file}, {"label", &columns.label}, {"split", &columns.split}}) {
      if (names[i] != name) continue;
      if (*column >= 0) return At(1, absl::StrCat("two columns are named ", name));
      *column = i;
    }
  }
  if (columns.file < 0 || columns.label < 0) {
    return At(1, absl::StrCat("no column named ", columns.file < 0 ? "file" : "label", " (found ",
                              Shown(absl::StrJoin(names, ", ")),
                              "); expected 'file,label' or 'file,label,split'"));
  }
  return columns;
}

absl::StatusOr<Part> ParsePart(const std::string& split, int64_t line) {
  if (split == "train") return Part::kTrain;
  if (split == "val" || split == "validation") return Part::kValidation;
  if (split == "test") return Part::kTest;
  return At(line, absl::StrCat("split is '", Shown(split), "'; expected train, val or test"));
}

absl::StatusOr<std::vector<Row>> ReadRows(absl::string_view text) {
  CsvReader reader(text);
  VIT_ASSIGN_OR_RETURN(const Columns columns, ReadHeader(&reader));
  std::vector<Row> rows;
  std::vector<std::string> fields;
  while (true) {
    VIT_ASSIGN_OR_RETURN(const bool any, reader.Next(&fields));
    if (!any) return rows;
    const int64_t line = reader.line();
    if (static_cast<int>(fields.size()) != columns.count) {
      return At(line, absl::StrCat(fields.size(), fields.size() == 1 ? " field" : " fields",
                                   " where the first line has ", columns.count));
    }
    Row row{line, std::move(fields[columns.file]), std::move(fields[columns.label])};
    if (row.file.empty() || row.file.find('\0') != std::string::npos) {
      return At(line, "file is empty or no file's name");
    }
    if (row.label.empty() || !IsPrintableUtf8(row.label)) {
      return At(line, absl::StrCat("label is '", absl::CEscape(row.label),
                                   "'; expected text in UTF-8 without control characters"));
    }
    if (columns.split >= 0) {
      VIT_ASSIGN_OR_RETURN(row.part, ParsePart(fields[columns.split], line));
    }
    rows.push_back(std::move(row));
  }
}

class CsvList : public FileListDataSet {
 public:
  CsvList(DataSetOptions options, bool apply_orientation)
      : FileListDataSet(std::move(options), apply_orientation) {}

  absl::Status ListAll(const fs::path& table);

 private:
  absl::Status NameClasses(const std::vector<Row>& rows);
  // Bytes of the picture at `path`, which must lie under the data roots, symbolic links resolved.
  absl::StatusOr<int64_t> FindFile(const fs::path& path);

  std::unordered_map<std::string, fs::path> resolved_;  // folders met so far
};

absl::Status CsvList::NameClasses(const std::vector<Row>& rows) {
  std::set<std::string> labels;
  for (const Row& row : rows) {
    if (row.part == Part::kTrain) labels.insert(row.label);
  }
  if (labels.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("no training pictures among ", rows.size(),
                                                   rows.size() == 1 ? " row" : " rows"));
  }
  class_names_ = OrderClassNames({labels.begin(), labels.end()});
  return absl::OkStatus();
}

absl::StatusOr<int64_t> CsvList::FindFile(const fs::path& path) {
  // Most files share few folders, and are no links.
  fs::path& folder = resolved_[path.parent_path().string()];
  if (folder.empty()) {
    VIT_ASSIGN_OR_RETURN(folder,
                         ResolveUnderRoots(path.parent_path().string(), options_.data_roots));
  }
  fs::path file = folder / path.filename();
  struct stat info;
  if (lstat(file.c_str(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("path '", Shown(path.string()), "'"));
  }
  if (S_ISLNK(info.st_mode)) {
    VIT_ASSIGN_OR_RETURN(file, ResolveUnderRoots(file.string(), options_.data_roots));
    if (stat(file.c_str(), &info) != 0) return absl::ErrnoToStatus(errno, file.string());
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(Shown(path.string()), " is not a file"));
  }
  return info.st_size;
}

absl::Status CsvList::ListAll(const fs::path& table) {
  VIT_ASSIGN_OR_RETURN(const std::string text, ReadFile(table, kMaxBytes));
  VIT_ASSIGN_OR_RETURN(const std::vector<Row> rows, ReadRows(text));
  VIT_RETURN_IF_ERROR(NameClasses(rows));
  std::unordered_map<std::string, int32_t> labels;
  for (const std::string& name : class_names_) {
    labels.emplace(name, static_cast<int32_t>(labels.size()));
  }
  const bool has_validation = std::any_of(
      rows.begin(), rows.end(), [](const Row& row) { return row.part == Part::kValidation; });
  constexpr int32_t kRelative = 0, kAbsolute = 1;
  folders_ = {table.parent_path().string(), ""};
  for (const Row& row : rows) {
    if (row.part == Part::kTest && has_validation) continue;
    const auto label = labels.find(row.label);
    if (label == labels.end()) {
      return At(row.line, absl::StrCat("no training picture has the label '", row.label, "'"));
    }
    const bool absolute = row.file[0] == '/';
    const absl::StatusOr<int64_t> size =
        FindFile(absolute ? fs::path(row.file) : table.parent_path() / row.file);
    if (!size.ok()) return Annotate(size.status(), absl::StrCat("line ", row.line));
    samples_[row.part == Part::kTrain ? 0 : 1].push_back(
        {absolute ? kAbsolute : kRelative, label->second, row.file.substr(absolute ? 1 : 0),
         *size});
  }
  SetFingerprint();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DataSet>> OpenCsvList(const std::string& path,
                                                           const vit::v1::DataConfig& config,
                                                           const DataSetOptions& options) {
  VIT_ASSIGN_OR_RETURN(const fs::path table, ResolveUnderRoots(path, options.data_roots));
  auto list = std::make_shared<CsvList>(
      options, config.has_apply_orientation() ? config.apply_orientation() : true);
  VIT_RETURN_IF_ERROR(list->ListAll(table));
  return list;
}

}  // namespace vit
