// Any bytes as a safetensors file.
#include "core/base/status.h"
#include "core/tensor_file/safetensors.h"
#include "tests/fuzz/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const vit::SharedBytes input = vit::FuzzInput(data, size);
  vit::Touch(vit::CatchExceptions("read", [&] { return vit::ParseSafetensors(input); }));
  return 0;
}
