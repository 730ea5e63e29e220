#include "core/tensor_file/pytorch/pytorch_file.h"

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/tensor_file/parallel.h"
#include "core/tensor_file/pytorch/pickle.h"
#include "core/tensor_file/pytorch/state_dict.h"
#include "core/tensor_file/tensor_bytes.h"
#include "core/tensor_file/zip/zip_entry_reader.h"

namespace vit {
namespace {

constexpr absl::string_view kPickleSuffix = "/data.pkl";
// ViT-H's with its optimizer's state takes half a megabyte.
constexpr size_t kMaxPickleBytes = 64 << 20;
constexpr int64_t kNewestVersion = 10;  // of the archive's layout; 3 is what torch.save writes

// A storage's values in the archive.
struct Storage {
  const ZipArchive::Entry* entry;
  bool holds_bools = false;
  SharedBytes bytes;  // aligned for values of any type; set once they are read
};
using Storages = std::map<absl::string_view, Storage>;  // by key

// Returns "name/", with which all entries' names begin.
absl::StatusOr<std::string> FindPrefix(const ZipArchive& archive) {
  std::string prefix;
  for (const ZipArchive::Entry& entry : archive.entries()) {
    if (!absl::EndsWith(entry.name, kPickleSuffix)) continue;
    if (!prefix.empty()) {
      return absl::InvalidArgumentError("there is more than one data.pkl in the archive");
    }
    prefix = entry.name.substr(0, entry.name.size() - kPickleSuffix.size() + 1);
  }
  if (prefix.empty()) return absl::InvalidArgumentError("there is no data.pkl in the archive");
  for (const ZipArchive::Entry& entry : archive.entries()) {
    if (entry.name == prefix + "constants.pkl" || absl::StartsWith(entry.name, prefix + "code/")) {
      return absl::InvalidArgumentError(
          "it is a TorchScript program, which is not run; load it in Python and save its "
          "state_dict() with torch.save or safetensors");
    }
  }
  return prefix;
}

// Checks the entries that say how to read the others.
absl::Status CheckLayout(const ZipArchive& archive, const std::string& prefix) {
  if (const ZipArchive::Entry* const entry = archive.Find(prefix + "byteorder")) {
    VIT_ASSIGN_OR_RETURN(const absl::string_view order, StoredContents(*entry));
    if (order != "little") {
      return absl::InvalidArgumentError(
          absl::StrCat("byte order ", Quoted(order), "; save it on a little-endian machine"));
    }
  }
  if (const ZipArchive::Entry* const entry = archive.Find(prefix + "version")) {
    VIT_ASSIGN_OR_RETURN(const absl::string_view text, StoredContents(*entry));
    int64_t version;
    if (!absl::SimpleAtoi(text, &version) || version < 1 || version > kNewestVersion) {
      return absl::InvalidArgumentError(absl::StrCat(
          "version ", Quoted(text), " of the layout; 1 to ", kNewestVersion, " are read"));
    }
  }
  return absl::OkStatus();
}

// Checks that `tensor` lies within its storage and the storage within the file. Adds what must be
// read to `storages`.
absl::Status CheckTensor(const ZipArchive& archive, const std::string& prefix,
                         const PickleTensor& tensor, Storages* storages) {
  const PickleStorage& storage = *tensor.storage;
  const auto dtype = [](const PickleGlobal& global) { return Quoted(global.name); };
  if (tensor.type->type == at::ScalarType::Undefined ||
      storage.kind->type == at::ScalarType::Undefined) {
    return absl::InvalidArgumentError(absl::StrCat("unsupported dtype ", dtype(*tensor.type),
                                                   "; convert it, for example with .float()"));
  }
  const std::string name = absl::StrCat(prefix, "data/", storage.key);
  const ZipArchive::Entry* const entry = archive.Find(name);
  if (entry == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("its values ", Quoted(name), " are missing"));
  }
  uint64_t storage_bytes;
  if (__builtin_mul_overflow(static_cast<uint64_t>(storage.size),
                             c10::elementSize(storage.kind->type), &storage_bytes) ||
      storage_bytes != entry->size_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("a ", storage.kind->name, " of ", storage.size,
                                                   " values does not fit the ", entry->size_bytes,
                                                   " bytes of ", Quoted(name)));
  }
  const uint64_t item_bytes = c10::elementSize(tensor.type->type);
  const std::optional<uint64_t> bytes = ByteSize(tensor.sizes, item_bytes);
  // The offset of the last value, in values.
  uint64_t last = tensor.offset;
  bool overflow = !bytes;
  for (size_t i = 0; i < tensor.sizes.size() && !overflow; ++i) {
    uint64_t reach;
    overflow = tensor.sizes[i] > 0 &&
               (__builtin_mul_overflow(static_cast<uint64_t>(tensor.sizes[i] - 1),
                                       static_cast<uint64_t>(tensor.strides[i]), &reach) ||
                __builtin_add_overflow(last, reach, &last));
  }
  const uint64_t values = storage_bytes / item_bytes;
  if (overflow || static_cast<uint64_t>(tensor.offset) > values || (*bytes > 0 && last >= values)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "shape ", ShapeText(tensor.sizes), " with strides ", ShapeText(tensor.strides),
        " from value ", tensor.offset, " extends beyond its storage of ", values, " values"));
  }
  if (*bytes > storage_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("shape ", ShapeText(tensor.sizes),
                                                   " is expanded from a storage of ", values,
                                                   " values; save its .clone()"));
  }
  Storage& needed = (*storages)[storage.key];
  needed.entry = entry;
  needed.holds_bools = needed.holds_bools || tensor.type->type == at::kBool;
  return absl::OkStatus();
}

absl::Status ReadStorages(const ZipArchive& archive, Storages* storages) {
  std::vector<Storage*> all;
  for (auto& [key, storage] : *storages) all.push_back(&storage);
  return RunInParallel("read storages", all.size(), [&](size_t i) -> absl::Status {
    Storage& storage = *all[i];
    VIT_ASSIGN_OR_RETURN(const absl::string_view contents, StoredContents(*storage.entry));
    if (storage.holds_bools) {
      VIT_RETURN_IF_ERROR(
          Annotate(CheckBools(contents), absl::StrCat("entry ", Quoted(storage.entry->name))));
    }
    storage.bytes = Aligned({contents, archive.owner()}, sizeof(double));
    return absl::OkStatus();
  });
}

}  // namespace

absl::StatusOr<TensorFile> ParsePytorch(const ZipArchive& archive) {
  VIT_ASSIGN_OR_RETURN(const std::string prefix, FindPrefix(archive));
  VIT_RETURN_IF_ERROR(CheckLayout(archive, prefix));
  const ZipArchive::Entry& pickle_entry = *archive.Find(prefix + "data.pkl");
  if (pickle_entry.size_bytes > kMaxPickleBytes) {
    return absl::ResourceExhaustedError(absl::StrCat("data.pkl has ", pickle_entry.size_bytes,
                                                     " bytes; at most ", kMaxPickleBytes,
                                                     " are read. Save the state dict alone"));
  }
  VIT_ASSIGN_OR_RETURN(const absl::string_view pickle_bytes, StoredContents(pickle_entry));
  VIT_ASSIGN_OR_RETURN(const Pickle pickle, Pickle::Read(pickle_bytes));
  VIT_ASSIGN_OR_RETURN(StateDicts dicts, FindStateDicts(pickle.top()));

  Storages storages;
  for (const auto& [name, tensor] : dicts.tensors) {
    VIT_RETURN_IF_ERROR(Annotate(CheckTensor(archive, prefix, *tensor, &storages),
                                 absl::StrCat("tensor ", Quoted(name))));
  }
  VIT_RETURN_IF_ERROR(ReadStorages(archive, &storages));

  TensorFile result;
  result.sections = std::move(dicts.sections);
  for (const auto& [name, tensor] : dicts.tensors) {
    const at::ScalarType type = tensor->type->type;
    SharedBytes bytes = storages.at(tensor->storage->key).bytes;
    bytes.view.remove_prefix(tensor->offset * c10::elementSize(type));
    result.tensors[name] = ViewOf(bytes, tensor->sizes, tensor->strides, type);
  }
  return result;
}

}  // namespace vit
