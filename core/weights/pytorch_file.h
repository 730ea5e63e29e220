// Files of torch.save (.pth, .pt, .bin) since PyTorch 1.6: a zip archive of one pickle and one
// stored entry for each storage. Only for the rooms that compute.
#ifndef VIT_CORE_WEIGHTS_PYTORCH_FILE_H_
#define VIT_CORE_WEIGHTS_PYTORCH_FILE_H_

#include "absl/status/statusor.h"
#include "core/weights/tensor_file.h"
#include "core/weights/zip_archive.h"

namespace vit {

// The state dict in the file, nothing of which is run: found bare, or under "state_dict", "model",
// "model_state_dict" or "module", at most twice nested ("model.state_dict"); that key becomes
// metadata["state_dict"]. Averaged weights ("model_ema", "state_dict_ema") are taken where there
// are no others. Prefixes that all its names share ("module.", "_orig_mod.") are left out, and so
// are values that are no tensors. Tensors are views of the archive's bytes where they lie aligned,
// as torch.save puts them, strided as they were saved. INVALID_ARGUMENT or DATA_LOSS names what is
// wrong; RESOURCE_EXHAUSTED for a pickle beyond all measure.
absl::StatusOr<TensorFile> ParsePytorch(const ZipArchive& archive);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_PYTORCH_FILE_H_
