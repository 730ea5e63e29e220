#include "core/data/sources/csv/csv_columns.h"

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/data/sources/csv/csv_reader.h"

namespace vit {
namespace {

constexpr absl::string_view kExpected = "expected 'file,label' or 'file,label,split'";

absl::Status Bad(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("line 1: ", what));
}

std::string Shown(const std::vector<std::string>& names) {
  const std::string joined = absl::StrJoin(names, ", ");
  return vit::Shown(joined);
}

// Returns the column that a heading names; null if it names none.
int* ColumnOf(const std::string& heading, int listing_version, CsvColumns* columns) {
  const std::string name =
      listing_version == 1 ? heading : absl::AsciiStrToLower(absl::StripAsciiWhitespace(heading));
  if (name == "file") return &columns->file;
  if (name == "label") return &columns->label;
  if (name == "split") return &columns->split;
  if (listing_version == 1) return nullptr;
  if (name == "filename" || name == "path" || name == "image") return &columns->file;
  return name == "class" ? &columns->label : nullptr;
}

}  // namespace

absl::StatusOr<CsvColumns> FindCsvColumns(absl::string_view table, int listing_version) {
  CsvColumns columns;
  std::vector<std::string> names;
  VIT_ASSIGN_OR_RETURN(const bool any, CsvReader(table).Next(&names));
  if (!any) {
    return absl::InvalidArgumentError(
        absl::StrCat("the file is empty; ", kExpected, " as its first line"));
  }
  for (const char separator : {';', '\t'}) {
    std::vector<std::string> others;
    if (listing_version == 1 || !CsvReader(table, separator).Next(&others).ok()) continue;
    if (others.size() <= names.size()) continue;
    names = std::move(others);
    columns.separator = separator;
  }
  columns.count = static_cast<int>(names.size());
  for (int i = 0; i < columns.count; ++i) {
    int* const column = ColumnOf(names[i], listing_version, &columns);
    if (column == nullptr) continue;
    if (*column >= 0) {
      return Bad(absl::StrCat("the columns ", names[*column], " and ", names[i],
                              " mean the same; rename the one to ignore"));
    }
    *column = i;
  }
  if (columns.file < 0 || columns.label < 0) {
    return Bad(absl::StrCat("no column named ",
                            columns.file < 0 ? "file, filename, path or image" : "label or class",
                            " (found ", Shown(names), "); ", kExpected));
  }
  return columns;
}

}  // namespace vit
