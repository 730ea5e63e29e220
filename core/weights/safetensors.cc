#include "core/weights/safetensors.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/bounded_reader.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace vit {
namespace {

using Json = nlohmann::ordered_json;

// The published limit of the format's own reader.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;

struct DtypeName {
  const char* name;
  at::ScalarType type;
};
constexpr DtypeName kDtypes[] = {
    {"F64", at::kDouble}, {"F32", at::kFloat}, {"F16", at::kHalf},  {"BF16", at::kBFloat16},
    {"I64", at::kLong},   {"I32", at::kInt},   {"I16", at::kShort}, {"I8", at::kChar},
    {"U8", at::kByte},    {"BOOL", at::kBool},
};

// A file mapped into memory for reading.
class MappedFile {
 public:
  static absl::StatusOr<std::shared_ptr<MappedFile>> Open(const std::filesystem::path& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path.string()));
    struct stat info;
    void* data = nullptr;
    int error = 0;
    if (fstat(fd, &info) != 0) {
      error = errno;
    } else if (!S_ISREG(info.st_mode)) {
      error = EISDIR;
    } else if (info.st_size > 0) {
      data = mmap(nullptr, info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
      if (data == MAP_FAILED) error = errno;
    }
    close(fd);
    if (error != 0) return absl::ErrnoToStatus(error, absl::StrCat("map ", path.string()));
    return std::make_shared<MappedFile>(data, info.st_size);
  }
  MappedFile(void* data, size_t size) : data_(data), size_(size) {}
  MappedFile(const MappedFile&) = delete;
  ~MappedFile() {
    if (size_ > 0) munmap(data_, size_);
  }
  absl::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }

 private:
  void* data_;
  size_t size_;
};

absl::Status Bad(absl::string_view tensor, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("tensor '", tensor, "': ", why));
}

// One entry of the header, checked against `data_size`.
struct Entry {
  at::ScalarType type;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
};

absl::StatusOr<Entry> ParseEntry(const std::string& name, const Json& json, uint64_t data_size) {
  Entry entry;
  if (!json.is_object() || !json.contains("dtype") || !json["dtype"].is_string() ||
      !json.contains("shape") || !json["shape"].is_array() || !json.contains("data_offsets") ||
      !json["data_offsets"].is_array() || json["data_offsets"].size() != 2) {
    return Bad(name, "expected dtype, shape and two data_offsets");
  }
  const std::string dtype = json["dtype"].get<std::string>();
  const auto* known = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                                   [&](const DtypeName& d) { return dtype == d.name; });
  if (known == std::end(kDtypes)) return Bad(name, absl::StrCat("unsupported dtype '", dtype, "'"));
  entry.type = known->type;
  const uint64_t item_size = c10::elementSize(entry.type);
  if (json["shape"].size() > 16) return Bad(name, "more than 16 dimensions");
  uint64_t bytes = item_size;
  for (const Json& dimension : json["shape"]) {
    if (!dimension.is_number_unsigned() ||
        dimension.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Bad(name, "a dimension is not a whole number of at least 0");
    }
    const uint64_t size = dimension.get<uint64_t>();
    if (size != 0 && bytes > std::numeric_limits<uint64_t>::max() / size)
      return Bad(name, "shape overflows");
    bytes *= size;
    entry.shape.push_back(static_cast<int64_t>(size));
  }
  for (const Json& offset : json["data_offsets"]) {
    if (!offset.is_number_unsigned())
      return Bad(name, "an offset is not a whole number of at least 0");
  }
  entry.begin = json["data_offsets"][0].get<uint64_t>();
  entry.end = json["data_offsets"][1].get<uint64_t>();
  if (entry.begin > entry.end || entry.end > data_size) {
    return Bad(name, absl::StrCat("offsets ", entry.begin, " to ", entry.end, " leave the file's ",
                                  data_size, " bytes of data"));
  }
  if (entry.end - entry.begin != bytes) {
    return Bad(name,
               absl::StrCat("shape [", absl::StrJoin(entry.shape, ", "), "] of ", dtype, " needs ",
                            bytes, " bytes, the offsets give ", entry.end - entry.begin));
  }
  return entry;
}

absl::StatusOr<Safetensors> Parse(const std::shared_ptr<MappedFile>& file) {
  BoundedReader reader(file->bytes());
  const uint64_t header_size = reader.U64Le();
  if (!reader.ok())
    return absl::InvalidArgumentError("shorter than the 8 bytes of the header's length");
  if (header_size > kMaxHeaderBytes || header_size > reader.remaining()) {
    return absl::InvalidArgumentError(absl::StrCat("header of ", header_size,
                                                   " bytes in a file with ", reader.remaining(),
                                                   " bytes after its length"));
  }
  const absl::string_view text = reader.Bytes(header_size);
  const absl::string_view data = file->bytes().substr(reader.position());
  const Json header = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) return absl::InvalidArgumentError("the header is not a JSON object");

  Safetensors result;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      if (!value.is_object()) return absl::InvalidArgumentError("__metadata__ is not an object");
      for (const auto& [key, text_value] : value.items()) {
        if (!text_value.is_string())
          return absl::InvalidArgumentError("__metadata__ holds a value that is no text");
        result.metadata[key] = text_value.get<std::string>();
      }
      continue;
    }
    VIT_ASSIGN_OR_RETURN(const Entry entry, ParseEntry(name, value, data.size()));
    if (entry.end > entry.begin) ranges.emplace_back(entry.begin, entry.end);
    const char* const begin = data.data() + entry.begin;
    const auto options = at::TensorOptions().dtype(entry.type);
    at::Tensor tensor = at::from_blob(
        const_cast<char*>(begin), entry.shape, [file](void*) {}, options);
    // The format does not promise alignment; a value that a processor could trip over is copied.
    if (tensor.numel() > 0 &&
        reinterpret_cast<uintptr_t>(begin) % c10::elementSize(entry.type) != 0) {
      at::Tensor copy = at::empty(entry.shape, options);
      std::memcpy(copy.mutable_data_ptr(), begin, entry.end - entry.begin);
      tensor = copy;
    }
    result.tensors[name] = tensor;
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first < ranges[i - 1].second)
      return absl::InvalidArgumentError("two tensors overlap");
  }
  return result;
}

}  // namespace

absl::StatusOr<Safetensors> ReadSafetensors(const std::filesystem::path& path) {
  return CatchExceptions(
      absl::StrCat("read ", path.string()), [&]() -> absl::StatusOr<Safetensors> {
        VIT_ASSIGN_OR_RETURN(const std::shared_ptr<MappedFile> file, MappedFile::Open(path));
        absl::StatusOr<Safetensors> parsed = Parse(file);
        if (!parsed.ok()) return Annotate(parsed.status(), path.string());
        return parsed;
      });
}

absl::Status WriteSafetensors(const std::filesystem::path& path,
                              const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                              const std::map<std::string, std::string>& metadata) {
  return CatchExceptions(absl::StrCat("write ", path.string()), [&]() -> absl::Status {
    Json header = Json::object();
    if (!metadata.empty()) header["__metadata__"] = metadata;
    uint64_t offset = 0;
    for (const auto& [name, tensor] : tensors) {
      const auto* known =
          std::find_if(std::begin(kDtypes), std::end(kDtypes),
                       [&](const DtypeName& d) { return tensor.scalar_type() == d.type; });
      if (known == std::end(kDtypes)) return Bad(name, "dtype has no name in safetensors");
      header[name] = {{"dtype", known->name},
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
