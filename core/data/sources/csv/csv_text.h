// Tables as programs save them, made UTF-8.
#ifndef VIT_CORE_DATA_SOURCES_CSV_CSV_TEXT_H_
#define VIT_CORE_DATA_SOURCES_CSV_CSV_TEXT_H_

#include <string>

#include "absl/status/statusor.h"

namespace vit {

// `bytes` as UTF-8 without a byte order mark, in lines that end with LF or CRLF: UTF-16 is told by
// its byte order mark, and a text whose lines end with CR alone by having no LF. INVALID_ARGUMENT
// for UTF-16 that is damaged, or without a mark.
absl::StatusOr<std::string> DecodeTable(std::string bytes);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_CSV_CSV_TEXT_H_
