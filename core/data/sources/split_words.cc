#include "core/data/sources/split_words.h"

#include <string>

#include "absl/strings/ascii.h"

namespace vit {

std::optional<SplitWord> ParseSplitWord(absl::string_view word) {
  const std::string lower = absl::AsciiStrToLower(word);
  if (lower == "train" || lower == "training") return SplitWord::kTrain;
  if (lower == "val" || lower == "valid" || lower == "validation" || lower == "dev") {
    return SplitWord::kValidation;
  }
  if (lower == "test" || lower == "testing") return SplitWord::kTest;
  return std::nullopt;
}

}  // namespace vit
