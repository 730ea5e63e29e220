#include "core/data/sources/csv/csv_reader.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace vit {

CsvReader::CsvReader(absl::string_view text, char separator) : text_(text), separator_(separator) {
  if (absl::StartsWith(text_, "\xEF\xBB\xBF")) at_ = 3;
}

absl::Status CsvReader::Error(int64_t line, absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", what));
}

bool CsvReader::TakeLineEnd() {
  const absl::string_view rest = text_.substr(at_);
  if (!absl::StartsWith(rest, "\n") && !absl::StartsWith(rest, "\r\n")) return false;
  at_ += rest[0] == '\n' ? 1 : 2;
  ++next_line_;
  return true;
}

absl::StatusOr<std::string> CsvReader::QuotedField() {
  const int64_t opened = next_line_;
  std::string field;
  for (++at_; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '"') {
      ++at_;
      if (at_ == text_.size() || text_[at_] != '"') return field;
    }
    if (c == '\n') ++next_line_;
    field += c;
  }
  return Error(opened, "a quote is opened and never closed");
}

absl::StatusOr<std::string> CsvReader::PlainField() {
  const size_t begin = at_;
  while (at_ < text_.size() && text_[at_] != separator_ && text_[at_] != '\n') {
    if (absl::StartsWith(text_.substr(at_), "\r\n")) break;
    if (text_[at_] == '"') {
      return Error(next_line_,
                   "a quote within a field; put the whole field in quotes, and double those in it");
    }
    ++at_;
  }
  return std::string(text_.substr(begin, at_ - begin));
}

absl::StatusOr<bool> CsvReader::Next(std::vector<std::string>* fields) {
  fields->clear();
  while (TakeLineEnd()) {
  }
  if (at_ == text_.size()) return false;
  line_ = next_line_;
  while (true) {
    const bool quoted = at_ < text_.size() && text_[at_] == '"';
    VIT_ASSIGN_OR_RETURN(fields->emplace_back(), quoted ? QuotedField() : PlainField());
    if (at_ == text_.size() || TakeLineEnd()) return true;
    if (text_[at_] != separator_) {
      return Error(next_line_, "text after the quote that closes a field; expected a separator");
    }
    ++at_;
  }
}

}  // namespace vit
