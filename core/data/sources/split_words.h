// The words by which people name the splits of a data set.
#ifndef VIT_CORE_DATA_SOURCES_SPLIT_WORDS_H_
#define VIT_CORE_DATA_SOURCES_SPLIT_WORDS_H_

#include <optional>

#include "absl/strings/string_view.h"

namespace vit {

// kTest serves as validation where a source has nothing for that.
enum class SplitWord { kTrain, kValidation, kTest };

// In any case: "train", "training"; "val", "valid", "validation", "dev"; "test", "testing".
std::optional<SplitWord> ParseSplitWord(absl::string_view word);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_SPLIT_WORDS_H_
