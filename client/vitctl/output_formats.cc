#include "client/vitctl/output_formats.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace vit {

std::vector<std::string> OutputFormats(absl::string_view command) {
  std::vector<std::string> formats = {"table", "wide", "json"};
  if (command.empty() || command == "classify" || command == "history") formats.push_back("csv");
  if (command.empty() || command == "classify") formats.push_back("jsonl");
  return formats;
}

absl::Status CheckOutputFormat(absl::string_view command, absl::string_view format) {
  const std::vector<std::string> formats = OutputFormats(command);
  if (std::find(formats.begin(), formats.end(), format) != formats.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("-o ", format, ": ", command, " has the formats ",
                                                 absl::StrJoin(formats, ", ")));
}

}  // namespace vit
