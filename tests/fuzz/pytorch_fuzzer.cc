// Any bytes as an archive of torch.save or, where they do not begin as one, as its pickle alone:
// most of what can go wrong is there. Checksums are not checked in the fuzzer's build.
#include "absl/strings/match.h"
#include "core/base/status.h"
#include "core/tensor_file/pytorch/pickle.h"
#include "core/tensor_file/pytorch/pytorch_file.h"
#include "core/tensor_file/pytorch/state_dict.h"
#include "core/tensor_file/zip/zip_archive.h"
#include "tests/fuzz/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const vit::SharedBytes input = vit::FuzzInput(data, size);
  if (!absl::StartsWith(input.view, "PK")) {
    const absl::StatusOr<vit::Pickle> pickle = vit::Pickle::Read(input.view);
    if (pickle.ok()) vit::FindStateDicts(pickle->top()).IgnoreError();
    return 0;
  }
  vit::Touch(vit::CatchExceptions("read", [&]() -> absl::StatusOr<vit::TensorFile> {
    VIT_ASSIGN_OR_RETURN(const vit::ZipArchive archive, vit::ZipArchive::Open(input));
    return vit::ParsePytorch(archive);
  }));
  return 0;
}
