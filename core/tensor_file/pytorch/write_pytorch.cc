#include "core/tensor_file/pytorch/write_pytorch.h"

#include <ATen/core/Dict.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/pickler.h>

#include "absl/strings/str_cat.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace vit {
namespace {

absl::Status Write(const std::filesystem::path& path, const NamedTensors& tensors) {
  c10::Dict<std::string, at::Tensor> dict;
  for (const auto& [name, tensor] : tensors) dict.insert(name, tensor.cpu().contiguous());
  std::string pickle;
  // Without tags of the element types, which only TorchScript's reader knows.
  torch::jit::Pickler pickler([&](const char* data, size_t size) { pickle.append(data, size); },
                              /*tensor_table=*/nullptr, /*type_renamer=*/nullptr,
                              /*memoized_class_types=*/nullptr, /*get_tensor_id=*/nullptr,
                              /*tag_aggregates=*/false);
  pickler.protocol();
  pickler.pushIValue(dict);
  pickler.stop();

  VIT_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(path));
  absl::Status written;  // the writer below only learns that it failed
  caffe2::serialize::PyTorchStreamWriter zip([&](const void* data, size_t size) -> size_t {
    if (written.ok()) written = file.Append({static_cast<const char*>(data), size});
    return written.ok() ? size : 0;
  });
  // It throws if it cannot write.
  const absl::Status zipped = CatchExceptions(path.string(), [&] {
    zip.writeRecord("data.pkl", pickle.data(), pickle.size());
    size_t index = 0;
    for (const at::Tensor& tensor : pickler.tensorData()) {
      const at::Storage& storage = tensor.storage();
      zip.writeRecord(absl::StrCat("data/", index++), storage.data(), storage.nbytes());
    }
    zip.writeEndOfFile();
    return absl::OkStatus();
  });
  VIT_RETURN_IF_ERROR(written);
  VIT_RETURN_IF_ERROR(zipped);
  return file.SyncAndClose();
}

}  // namespace

absl::Status WritePytorch(const std::filesystem::path& path, const NamedTensors& tensors) {
  return CatchExceptions("write weights", [&] { return Write(path, tensors); });
}

}  // namespace vit
