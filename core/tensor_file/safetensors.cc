#include "core/tensor_file/safetensors.h"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/bounded_reader.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/tensor_file/safetensors_header.h"
#include "core/tensor_file/tensor_bytes.h"

namespace vit {
namespace {

using Json = nlohmann::ordered_json;

// The published limit of the format's own reader.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;

}  // namespace

absl::StatusOr<TensorFile> ParseSafetensors(const SharedBytes& file) {
  BoundedReader reader(file.view);
  const uint64_t header_size = reader.U64Le();
  if (!reader.ok()) {
    return absl::InvalidArgumentError("shorter than the 8 bytes of the header's length");
  }
  if (header_size > kMaxHeaderBytes || header_size > reader.remaining()) {
    return absl::InvalidArgumentError(
        absl::StrCat("header of ", header_size, " bytes in a file with ", reader.remaining(),
                     " bytes after its length; at most ", kMaxHeaderBytes, " are read"));
  }
  const absl::string_view text = reader.Bytes(header_size);
  const absl::string_view data = file.view.substr(reader.position());
  VIT_ASSIGN_OR_RETURN(SafetensorsHeader header, ParseSafetensorsHeader(text, data.size()));
  TensorFile result;
  result.metadata = std::move(header.metadata);
  for (const auto& [name, entry] : header.entries) {
    // The format does not promise alignment.
    absl::StatusOr<SharedBytes> values =
        UsableBytes({data.substr(entry.begin, entry.end - entry.begin), file.owner}, entry.type);
    if (!values.ok()) return Annotate(values.status(), absl::StrCat("tensor ", Quoted(name)));
    result.tensors[name] = ViewOf(*values, entry.shape, entry.type);
  }
  return result;
}

absl::StatusOr<TensorFile> ReadSafetensors(const std::filesystem::path& path) {
  return CatchExceptions(absl::StrCat("read ", path.string()), [&]() -> absl::StatusOr<TensorFile> {
    VIT_ASSIGN_OR_RETURN(const SharedBytes file, MapFile(path));
    absl::StatusOr<TensorFile> parsed = ParseSafetensors(file);
    if (!parsed.ok()) return Annotate(parsed.status(), path.string());
    return parsed;
  });
}

absl::Status WriteSafetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                              const std::map<std::string, std::string>& metadata) {
  return CatchExceptions(absl::StrCat("write ", path.string()), [&]() -> absl::Status {
    Json header = Json::object();
    if (!metadata.empty()) header["__metadata__"] = metadata;
    uint64_t offset = 0;
    for (const auto& [name, tensor] : tensors) {
      const char* const dtype = SafetensorsDtype(tensor.scalar_type());
      if (dtype == nullptr) {
        return absl::InvalidArgumentError(
            absl::StrCat("tensor ", Quoted(name), ": safetensors has no name for its dtype"));
      }
      header[name] = {{"dtype", dtype},
                      {"shape", tensor.sizes().vec()},
                      {"data_offsets", {offset, offset + tensor.nbytes()}}};
      offset += tensor.nbytes();
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the values are aligned
    std::string length(8, '\0');
    for (int i = 0; i < 8; ++i) length[i] = static_cast<char>(uint64_t{text.size()} >> (8 * i));

    VIT_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(path));
    VIT_RETURN_IF_ERROR(writer.Append(length));
    VIT_RETURN_IF_ERROR(writer.Append(text));
    for (const auto& [name, tensor] : tensors) {
      const at::Tensor host = tensor.detach().cpu().contiguous();
      VIT_RETURN_IF_ERROR(writer.Append(
          absl::string_view(static_cast<const char*>(host.const_data_ptr()), host.nbytes())));
    }
    return writer.SyncAndClose();
  });
}

}  // namespace vit
