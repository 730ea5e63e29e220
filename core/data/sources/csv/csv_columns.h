// Reads the first line of a table of images.
#ifndef VIT_CORE_DATA_SOURCES_CSV_CSV_COLUMNS_H_
#define VIT_CORE_DATA_SOURCES_CSV_CSV_COLUMNS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

// The positions of the columns, from 0; -1 for a missing one.
struct CsvColumns {
  char separator = ',';
  int count = 0;
  int file = -1;
  int label = -1;
  int split = -1;
};

// Finds the separator (comma, semicolon or tab) and the columns in the first line of `table`.
// Headings, in upper or lower case, are: file, filename, path or image; label or class; split. In
// `listing_version` 1, the separator is a comma and the headings are file, label and split.
// INVALID_ARGUMENT if one is missing, or two mean the same.
absl::StatusOr<CsvColumns> FindCsvColumns(absl::string_view table, int listing_version);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_CSV_CSV_COLUMNS_H_
