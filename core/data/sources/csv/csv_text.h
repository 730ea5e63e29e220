// Converts tables, as programs save them, to UTF-8.
#ifndef VIT_CORE_DATA_SOURCES_CSV_CSV_TEXT_H_
#define VIT_CORE_DATA_SOURCES_CSV_CSV_TEXT_H_

#include <string>

#include "absl/status/statusor.h"

namespace vit {

// Returns `bytes` as UTF-8 without a byte order mark, in lines that end with LF or CRLF. Detects
// UTF-16 by its byte order mark, and lines that end only with CR by the absence of LF.
// INVALID_ARGUMENT for UTF-16 that is damaged, or without a mark.
absl::StatusOr<std::string> DecodeTable(std::string bytes);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_CSV_CSV_TEXT_H_
