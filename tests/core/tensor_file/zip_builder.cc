#include "tests/core/tensor_file/zip_builder.h"

#include <zlib.h>

#include "absl/strings/str_cat.h"

namespace vit {
namespace {

// What local header and directory entry share, from the flags to the checksum.
std::string Common(const ZipPart& part) {
  const auto crc =
      crc32_z(0, reinterpret_cast<const Bytef*>(part.contents.data()), part.contents.size());
  return Le(0, 2) + Le(part.deflated ? 8 : 0, 2) + Le(0, 4) + Le(crc, 4);
}

}  // namespace

std::string Le(uint64_t value, int bytes) {
  std::string result;
  for (int i = 0; i < bytes; ++i, value >>= 8) result += static_cast<char>(value);
  return result;
}

std::string Zip::Patched(size_t offset, uint64_t value, int size) const {
  std::string result = bytes;
  result.replace(offset, size, Le(value, size));
  return result;
}

Zip MakeZip(const std::vector<ZipPart>& parts, bool zip64) {
  Zip zip;
  std::string directory;
  for (const ZipPart& part : parts) {
    const std::string raw = part.deflated ? Deflate(part.contents) : part.contents;
    const std::string large = Le(part.contents.size(), 8) + Le(raw.size(), 8);
    const std::string extra = part.zip64 ? Le(1, 2) + Le(large.size(), 2) + large : "";
    const std::string sizes =
        part.zip64 ? Le(~0U, 4) + Le(~0U, 4) : Le(raw.size(), 4) + Le(part.contents.size(), 4);
    zip.local.push_back(zip.bytes.size());
    absl::StrAppend(&zip.bytes, "PK\3\4", Le(45, 2), Common(part), sizes, Le(part.name.size(), 2),
                    Le(extra.size(), 2), part.name, extra);
    zip.data.push_back(zip.bytes.size());
    zip.bytes += raw;
    zip.central.push_back(directory.size());
    absl::StrAppend(&directory, "PK\1\2", Le(45, 2), Le(45, 2), Common(part), sizes,
                    Le(part.name.size(), 2), Le(extra.size(), 2), Le(0, 10),
                    Le(zip.local.back(), 4), part.name, extra);
  }
  zip.directory = zip.bytes.size();
  for (size_t& offset : zip.central) offset += zip.directory;
  zip.bytes += directory;
  const std::string place = Le(directory.size(), 8) + Le(zip.directory, 8);
  zip.zip64_end = zip.bytes.size();
  if (zip64) {
    zip.bytes += "PK\6\6" + Le(44, 8) + Le(45, 2) + Le(45, 2) + Le(0, 8) + Le(parts.size(), 8) +
                 Le(parts.size(), 8) + place;
    zip.locator = zip.bytes.size();
    zip.bytes += "PK\6\7" + Le(0, 4) + Le(zip.zip64_end, 8) + Le(1, 4);
  }
  zip.end = zip.bytes.size();
  zip.bytes += "PK\5\6" + Le(0, 4) + Le(parts.size(), 2) + Le(parts.size(), 2) +
               (zip64 ? Le(~0U, 4) + Le(~0U, 4) : place.substr(0, 4) + place.substr(8, 4)) +
               Le(0, 2);
  return zip;
}

std::string Deflate(absl::string_view contents) {
  z_stream stream = {};
  deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  std::string result(deflateBound(&stream, contents.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(contents.data()));
  stream.avail_in = static_cast<uInt>(contents.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  deflate(&stream, Z_FINISH);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

std::string Npy(absl::string_view dict, absl::string_view values) {
  return absl::StrCat("\x93NUMPY", Le(1, 1), Le(0, 1), Le(dict.size(), 2), dict, values);
}

std::string FloatArray(absl::string_view shape, size_t count) {
  return Npy(absl::StrCat("{'descr': '<f4', 'fortran_order': False, 'shape': ", shape, ", }\n"),
             std::string(4 * count, '\0'));
}

}  // namespace vit
