// Shortens lists of tensors' names for a message.
#ifndef VIT_CORE_TENSOR_FILE_SOME_NAMES_H_
#define VIT_CORE_TENSOR_FILE_SOME_NAMES_H_

#include <string>
#include <vector>

namespace vit {

// Returns the first five, and how many more there are: "a, b, c, d, e and 7 more".
std::string SomeNames(const std::vector<std::string>& names);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_SOME_NAMES_H_
