#include "core/tensor_file/tensor_file.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/bounded_reader.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/tensor_file/npz.h"
#include "core/tensor_file/pytorch/pytorch_file.h"
#include "core/tensor_file/safetensors.h"
#include "core/tensor_file/shard_index.h"
#include "core/tensor_file/tensor_bytes.h"
#include "core/tensor_file/zip/zip_archive.h"

namespace vit {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kReadable =
    "safetensors, PyTorch (.pth, .pt, .bin), NumPy (.npz) and shard indices are supported";

// The first bytes of files that are not weights or not supported, and the message for each.
struct Signature {
  absl::string_view bytes;
  absl::string_view message;
};
constexpr Signature kUnreadable[] = {
    {absl::string_view("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14),
     "it is in PyTorch's format from before 1.6; load it in Python and save it again with "
     "torch.save, or as safetensors"},
    {"\x80",
     "it is a pickle outside of an archive, which is not supported; load it in Python and save its "
     "state dict with torch.save, or as safetensors"},
    {"\x89HDF\r\n\x1a\n",
     "it is HDF5; load it in Python and save its arrays with numpy.savez, or as safetensors"},
    {"\x93NUMPY", "it is a single NumPy array; save all of the model's arrays with numpy.savez"},
    {"\x1f\x8b", "it is compressed with gzip; unpack it first"},
    {absl::string_view("\x28\xb5\x2f\xfd", 4), "it is compressed with zstd; unpack it first"},
    {"BZh", "it is compressed with bzip2; unpack it first"},
    {"\xfd"
     "7zXZ",
     "it is compressed with xz; unpack it first"},
    {"version https://git-lfs",
     "it is a Git LFS pointer, not the file itself; fetch the file with git lfs pull"},
};

bool IsZip(absl::string_view bytes) {
  return absl::StartsWith(bytes, absl::string_view("PK\x03\x04", 4)) ||
         absl::StartsWith(bytes, absl::string_view("PK\x05\x06", 4));
}

bool IsJson(absl::string_view bytes) {
  return absl::StartsWith(absl::StripLeadingAsciiWhitespace(bytes), "{");
}

// The header follows its length. The length is below 4 GiB, which text that begins like JSON would
// not give.
bool IsSafetensors(absl::string_view bytes) {
  if (bytes.size() <= 8 || bytes[8] != '{') return false;
  return bytes.substr(4, 4) == absl::string_view("\0\0\0\0", 4) || !IsJson(bytes);
}

bool IsText(absl::string_view bytes) {
  constexpr size_t kLooked = 4096;
  const absl::string_view head = bytes.substr(0, kLooked);
  return std::all_of(head.begin(), head.end(), [](char c) {
    return absl::ascii_isprint(c) || absl::ascii_isspace(c) || (c & 0x80) != 0;
  });
}

absl::StatusOr<TensorFile> ParseZip(const SharedBytes& file) {
  VIT_ASSIGN_OR_RETURN(const ZipArchive archive, ZipArchive::Open(file));
  const auto any_ends_with = [&](absl::string_view suffix) {
    return std::any_of(
        archive.entries().begin(), archive.entries().end(),
        [&](const ZipArchive::Entry& entry) { return absl::EndsWith(entry.name, suffix); });
  };
  if (any_ends_with("/data.pkl")) return ParsePytorch(archive);
  if (any_ends_with(".npy")) return ParseNpz(archive);
  return absl::InvalidArgumentError(
      absl::StrCat("a zip archive without data.pkl (PyTorch) or .npy arrays (NumPy); ", kReadable));
}

// Reads the shard, which must hold exactly the tensors that the index puts there.
absl::StatusOr<TensorFile> ReadShard(const fs::path& path, const std::set<std::string>& names,
                                     absl::Span<const std::string> data_roots) {
  const absl::StatusOr<fs::path> real =
      ResolveInside(path.parent_path(), path.filename().string(), data_roots);
  if (!real.ok()) return Annotate(real.status(), absl::StrCat("shard ", path.string()));
  VIT_ASSIGN_OR_RETURN(const SharedBytes file, MapFile(*real));
  absl::StatusOr<TensorFile> shard = ParseTensorFile(file);
  if (!shard.ok()) return Annotate(shard.status(), absl::StrCat("shard ", path.string()));
  for (const std::string& name : names) {
    if (!shard->tensors.contains(name)) {
      return absl::InvalidArgumentError(absl::StrCat("shard ", path.string(), " lacks tensor ",
                                                     Quoted(name), ", which the index puts there"));
    }
  }
  for (const auto& [name, tensor] : shard->tensors) {
    if (!names.contains(name)) {
      return absl::InvalidArgumentError(absl::StrCat("shard ", path.string(), " holds tensor ",
                                                     Quoted(name), ", which is not in the index"));
    }
  }
  return shard;
}

absl::StatusOr<TensorFile> ReadShards(const fs::path& folder, absl::string_view json,
                                      absl::Span<const std::string> data_roots) {
  VIT_ASSIGN_OR_RETURN(const ShardIndex index, ParseShardIndex(json));
  TensorFile result;
  for (const auto& [name, tensors] : index) {
    VIT_ASSIGN_OR_RETURN(TensorFile shard, ReadShard(folder / name, tensors, data_roots));
    result.tensors.merge(shard.tensors);
    result.metadata.merge(shard.metadata);
  }
  return result;
}

}  // namespace

absl::StatusOr<TensorFile> ParseTensorFile(const SharedBytes& file) {
  const absl::string_view bytes = file.view;
  if (bytes.empty()) return absl::InvalidArgumentError("the file is empty");
  if (IsZip(bytes)) return ParseZip(file);
  if (IsSafetensors(bytes)) return ParseSafetensors(file);
  for (const Signature& signature : kUnreadable) {
    if (absl::StartsWith(bytes, signature.bytes)) {
      return absl::InvalidArgumentError(signature.message);
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      IsText(bytes) ? "it is text, not weights" : "not a known format", "; ", kReadable));
}

absl::StatusOr<TensorFile> ReadTensorFile(const fs::path& path,
                                          absl::Span<const std::string> data_roots) {
  return CatchExceptions(absl::StrCat("read ", path.string()), [&]() -> absl::StatusOr<TensorFile> {
    VIT_ASSIGN_OR_RETURN(const SharedBytes file, MapFile(path));
    const bool is_index = !IsSafetensors(file.view) && IsJson(file.view);
    absl::StatusOr<TensorFile> result =
        is_index ? ReadShards(path.parent_path(), file.view, data_roots) : ParseTensorFile(file);
    if (!result.ok()) return Annotate(result.status(), path.string());
    return result;
  });
}

}  // namespace vit
