// Expands series of names, as shells and WebDataset write them.
#ifndef VIT_CORE_DATA_SOURCES_TAR_BRACE_PATTERN_H_
#define VIT_CORE_DATA_SOURCES_TAR_BRACE_PATTERN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

// Expands "{000..009}" (numbers, padded to the width of the first one) and "{train,val}", several
// of them in order, the last one changing fastest: "a-{0..1}.tar" is "a-0.tar" and "a-1.tar".
// INVALID_ARGUMENT for an unmatched brace, nested braces, an invalid range, or more than 100,000
// names.
absl::StatusOr<std::vector<std::string>> ExpandBraces(absl::string_view pattern);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_TAR_BRACE_PATTERN_H_
