// The words that people use for the splits of a data set.
#ifndef VIT_CORE_DATA_SOURCES_SPLIT_WORDS_H_
#define VIT_CORE_DATA_SOURCES_SPLIT_WORDS_H_

#include <optional>

#include "absl/strings/string_view.h"

namespace vit {

// kTest serves as validation if a source has nothing else for it.
enum class SplitWord { kTrain, kValidation, kTest };

// Parses, in upper or lower case: "train", "training"; "val", "valid", "validation", "dev"; "test",
// "testing".
std::optional<SplitWord> ParseSplitWord(absl::string_view word);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_SPLIT_WORDS_H_
