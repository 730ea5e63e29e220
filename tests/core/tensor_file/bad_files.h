// Files that no reader of weights may accept.
#ifndef VIT_TESTS_CORE_TENSOR_FILE_BAD_FILES_H_
#define VIT_TESTS_CORE_TENSOR_FILE_BAD_FILES_H_

#include <string>
#include <vector>

namespace vit {

struct BadFile {
  std::string name;  // what is wrong with it
  std::string bytes;
  std::string message;  // part of what the reader says
};

std::vector<BadFile> BadSafetensors();
std::vector<BadFile> BadZips();    // NumPy archives, wrong as archives
std::vector<BadFile> BadArrays();  // NumPy archives, wrong in an array
std::vector<BadFile> BadPytorchArchives();
std::vector<BadFile> BadPickles();  // PyTorch files, wrong in their pickle
std::vector<BadFile> BadIndices();  // of shards

}  // namespace vit

#endif  // VIT_TESTS_CORE_TENSOR_FILE_BAD_FILES_H_
