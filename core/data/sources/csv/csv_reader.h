// Tables as text, RFC 4180.
#ifndef VIT_CORE_DATA_SOURCES_CSV_CSV_READER_H_
#define VIT_CORE_DATA_SOURCES_CSV_CSV_READER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

// Reads records of separated fields. A field in double quotes may contain separators, line breaks
// and doubled quotes. Lines end with LF or CRLF; skips a byte order mark at the start and empty
// lines. Does not trim fields.
class CsvReader {
 public:
  // `text` must outlive the reader.
  explicit CsvReader(absl::string_view text, char separator = ',');

  // Reads the next record into `fields`; false at the end. INVALID_ARGUMENT names the line: a quote
  // that is never closed, text after a closing quote, a quote within a field without quotes.
  absl::StatusOr<bool> Next(std::vector<std::string>* fields);

  // The line, from 1, on which the last record begins.
  int64_t line() const { return line_; }

 private:
  absl::StatusOr<std::string> QuotedField();
  absl::StatusOr<std::string> PlainField();
  // Consumes a line's end, if there is one here.
  bool TakeLineEnd();
  absl::Status Error(int64_t line, absl::string_view what) const;

  const absl::string_view text_;
  const char separator_;
  size_t at_ = 0;
  int64_t line_ = 0;
  int64_t next_line_ = 1;  // the line of `at_`
};

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_CSV_CSV_READER_H_
