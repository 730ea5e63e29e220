// What the fuzz targets of the weights' readers share.
#ifndef VIT_TESTS_FUZZ_FUZZING_H_
#define VIT_TESTS_FUZZ_FUZZING_H_

#include <cstddef>
#include <cstdint>

#include "core/base/mapped_file.h"
#include "core/tensor_file/tensor_file.h"

namespace vit {

// A copy on the heap of exactly this size, so that AddressSanitizer sees a read beyond it.
SharedBytes FuzzInput(const uint8_t* data, size_t size);

// Reads the first and the last value of each tensor.
void Touch(const absl::StatusOr<TensorFile>& file);

}  // namespace vit

// libFuzzer's entry. Whatever the bytes are, it must return 0, without a fault, a leak, an
// undefined operation or an endless loop.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

#endif  // VIT_TESTS_FUZZ_FUZZING_H_
