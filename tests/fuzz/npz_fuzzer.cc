// Any bytes as a NumPy archive. Checksums are not checked in the fuzzer's build.
#include "core/base/status.h"
#include "core/tensor_file/npz.h"
#include "core/tensor_file/zip/zip_archive.h"
#include "tests/fuzz/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const vit::SharedBytes input = vit::FuzzInput(data, size);
  vit::Touch(vit::CatchExceptions("read", [&]() -> absl::StatusOr<vit::TensorFile> {
    VIT_ASSIGN_OR_RETURN(const vit::ZipArchive archive, vit::ZipArchive::Open(input));
    return vit::ParseNpz(archive);
  }));
  return 0;
}
