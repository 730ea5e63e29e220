#include "core/tensor_file/npz.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/tensor_file/npy_header.h"
#include "core/tensor_file/parallel.h"
#include "core/tensor_file/tensor_bytes.h"
#include "core/tensor_file/zip/zip_entry_reader.h"

namespace vit {
namespace {

// Weights are close to random numbers: deflate hardly shrinks them, except a head of zeros.
constexpr uint64_t kMaxExpansion = 16;
constexpr uint64_t kAlwaysAllowedBytes = 64 << 20;

absl::Status CheckExpansion(const ZipArchive& archive) {
  uint64_t deflated_bytes = 0;
  for (const ZipArchive::Entry& entry : archive.entries()) {
    if (entry.deflated) deflated_bytes += entry.size_bytes;
  }
  if (deflated_bytes / kMaxExpansion > archive.size_bytes() &&
      deflated_bytes > kAlwaysAllowedBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the compressed arrays of this file of ", archive.size_bytes(),
                     " bytes expand to ", deflated_bytes, "; at most ", kMaxExpansion,
                     " times as much is read. Save it with numpy.savez, which does not compress"));
  }
  return absl::OkStatus();
}

absl::StatusOr<NpyHeader> ReadHeader(ZipEntryReader* reader) {
  std::string bytes(kNpyPrefixBytes, '\0');
  VIT_RETURN_IF_ERROR(reader->Read(bytes.data(), bytes.size()));
  VIT_ASSIGN_OR_RETURN(const size_t length_bytes, NpyLengthBytes(bytes));
  bytes.resize(length_bytes);
  VIT_RETURN_IF_ERROR(reader->Read(bytes.data(), bytes.size()));
  VIT_ASSIGN_OR_RETURN(const size_t text_bytes, NpyTextBytes(bytes));
  bytes.resize(text_bytes);
  VIT_RETURN_IF_ERROR(reader->Read(bytes.data(), bytes.size()));
  return ParseNpyHeader(bytes);
}

absl::StatusOr<at::Tensor> ReadArray(const ZipArchive& archive, const ZipArchive::Entry& entry) {
  ZipEntryReader reader(entry);
  VIT_ASSIGN_OR_RETURN(NpyHeader header, ReadHeader(&reader));
  const std::optional<uint64_t> bytes = ByteSize(header.shape, c10::elementSize(header.type));
  const uint64_t left = entry.size_bytes - reader.position();
  if (!bytes || *bytes != left) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape ", ShapeText(header.shape), " of ", c10::elementSize(header.type),
                     "-byte values does not fit the ", left, " bytes after the header"));
  }
  if (header.fortran_order) std::reverse(header.shape.begin(), header.shape.end());

  SharedBytes values;
  if (entry.deflated) {
    // Read as bytes first, so that bools are checked before use.
    const auto buffer =
        std::make_shared<at::Tensor>(at::empty({static_cast<int64_t>(left)}, at::kByte));
    char* const data = static_cast<char*>(buffer->mutable_data_ptr());
    VIT_RETURN_IF_ERROR(reader.Read(data, left));
    VIT_RETURN_IF_ERROR(reader.Finish());
    values = {absl::string_view(data, left), buffer};
  } else {
    VIT_ASSIGN_OR_RETURN(const absl::string_view contents, StoredContents(entry));
    values = {contents.substr(reader.position()), archive.owner()};
  }
  VIT_ASSIGN_OR_RETURN(values, UsableBytes(std::move(values), header.type));
  at::Tensor tensor = ViewOf(values, header.shape, header.type);
  if (header.fortran_order) {
    std::vector<int64_t> reversed(header.shape.size());
    for (size_t i = 0; i < reversed.size(); ++i) {
      reversed[i] = static_cast<int64_t>(reversed.size() - 1 - i);
    }
    tensor = tensor.permute(reversed);
  }
  return tensor;
}

}  // namespace

absl::StatusOr<TensorFile> ParseNpz(const ZipArchive& archive) {
  VIT_RETURN_IF_ERROR(CheckExpansion(archive));
  const std::vector<ZipArchive::Entry>& entries = archive.entries();
  std::vector<at::Tensor> tensors(entries.size());
  VIT_RETURN_IF_ERROR(RunInParallel("read arrays", entries.size(), [&](size_t i) -> absl::Status {
    const absl::string_view name = absl::StripSuffix(entries[i].name, ".npy");
    if (name == entries[i].name || name.empty() || !IsPrintableUtf8(name)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "entry ", Quoted(entries[i].name), ": not the name of an array, NAME.npy in UTF-8"));
    }
    absl::StatusOr<at::Tensor> tensor = ReadArray(archive, entries[i]);
    if (!tensor.ok()) return Annotate(tensor.status(), absl::StrCat("array ", Quoted(name)));
    tensors[i] = *std::move(tensor);
    return absl::OkStatus();
  }));
  TensorFile result;
  for (size_t i = 0; i < entries.size(); ++i) {
    result.tensors[entries[i].name.substr(0, entries[i].name.size() - 4)] = std::move(tensors[i]);
  }
  return result;
}

}  // namespace vit
