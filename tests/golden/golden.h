// Golden files: what must not change unnoticed, kept in tests/data/golden.
#ifndef VIT_TESTS_GOLDEN_GOLDEN_H_
#define VIT_TESTS_GOLDEN_GOLDEN_H_

#include <string>

namespace vit {

// Fails the test, with the first line that differs, if `text` is not the content of
// tests/data/golden/`name`. With VIT_UPDATE_GOLDEN set in the environment, writes the file instead.
void ExpectGolden(const std::string& name, const std::string& text);

}  // namespace vit

#endif  // VIT_TESTS_GOLDEN_GOLDEN_H_
