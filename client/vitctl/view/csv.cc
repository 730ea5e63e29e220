#include "client/vitctl/view/csv.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace vit {

std::string CsvLine(const std::vector<std::string>& values) {
  std::string line;
  for (const std::string& value : values) {
    if (&value != &values.front()) line += ',';
    if (value.find_first_of(",\"\r\n") == std::string::npos) {
      line += value;
    } else {
      absl::StrAppend(&line, "\"", absl::StrReplaceAll(value, {{"\"", "\"\""}}), "\"");
    }
  }
  return line + "\n";
}

}  // namespace vit
