// A fake vitd's answers to Classify.
#ifndef VIT_TESTS_CLIENT_NAMING_H_
#define VIT_TESTS_CLIENT_NAMING_H_

#include <vector>

#include "tests/client/fake_vitd.h"

namespace vit {

// Names every image after its bytes, except that bitmaps, whose bytes are no text, are "a bitmap".
// "bad..." cannot be decoded. Keeps the requests, unless `requests` is null; they may be read once
// the calls have been answered.
FakeAnswers Naming(std::vector<v1::ClassifyRequest>* requests);

}  // namespace vit

#endif  // VIT_TESTS_CLIENT_NAMING_H_
