// JSON of a known structure, read without building it in memory.
#ifndef VIT_CORE_TENSOR_FILE_JSON_EVENTS_H_
#define VIT_CORE_TENSOR_FILE_JSON_EVENTS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace vit {

// Receives each part of a document in order; the first error stops the reading. The implementation
// decides which nesting and keys are allowed, so a hostile document costs no memory beyond what the
// implementation keeps.
class JsonEvents {
 public:
  virtual ~JsonEvents() = default;
  virtual absl::Status Start(bool is_object) = 0;  // else an array
  virtual absl::Status Key(std::string key) = 0;   // of the innermost object
  virtual absl::Status End() = 0;                  // of the innermost object or array
  virtual absl::Status Text(std::string text) = 0;
  virtual absl::Status Whole(uint64_t number) = 0;
  virtual absl::Status Other() = 0;  // null, true, false, or a number below 0 or with a fraction
};

// Parses `text`. INVALID_ARGUMENT, with the byte, for what is not JSON (UTF-8; no NaN, no comments,
// nothing after the document), else the first error of `events`.
absl::Status ParseJson(absl::string_view text, JsonEvents* events);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_JSON_EVENTS_H_
