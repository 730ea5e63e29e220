// Comma-separated values as RFC 4180 describes them.
#ifndef VIT_CLIENT_VITCTL_VIEW_CSV_H_
#define VIT_CLIENT_VITCTL_VIEW_CSV_H_

#include <string>
#include <vector>

namespace vit {

// Returns `values` as one line with its end, "\n" as Unix tools expect. Values with a comma, a
// quote or a line break are quoted.
std::string CsvLine(const std::vector<std::string>& values);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_VIEW_CSV_H_
