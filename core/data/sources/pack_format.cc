#include "core/data/sources/pack_format.h"

#include <zlib.h>

#include "core/base/bounded_reader.h"

namespace vit {
namespace {

constexpr absl::string_view kMagic = "VITPACK1";
constexpr size_t kCheckedBytes = 52;

}  // namespace

void AppendU32(uint32_t value, std::string* out) {
  for (int shift = 0; shift < 32; shift += 8) out->push_back(static_cast<char>(value >> shift));
}

void AppendU64(uint64_t value, std::string* out) {
  AppendU32(static_cast<uint32_t>(value), out);
  AppendU32(static_cast<uint32_t>(value >> 32), out);
}

uint32_t PackCrc(absl::string_view bytes) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

uint64_t PackOffset(uint64_t offset, uint64_t size) {
  constexpr uint64_t kPage = kPackPageBytes;
  const uint64_t page = (offset + kPage - 1) / kPage * kPage;
  return size <= page - offset ? offset : page;
}

std::string PackHeader::Serialize() const {
  std::string page(kMagic);
  AppendU64(index_offset, &page);
  AppendU64(index_bytes, &page);
  AppendU32(index_crc, &page);
  AppendU32(classes, &page);
  AppendU64(train_samples, &page);
  AppendU64(validation_samples, &page);
  AppendU32(native_size, &page);
  AppendU32(PackCrc(page), &page);
  page.resize(kPackPageBytes);
  return page;
}

std::optional<PackHeader> PackHeader::Parse(absl::string_view page) {
  BoundedReader reader(page);
  const bool magic = reader.Bytes(kMagic.size()) == kMagic;
  PackHeader header;
  header.index_offset = reader.U64Le();
  header.index_bytes = reader.U64Le();
  header.index_crc = reader.U32Le();
  header.classes = reader.U32Le();
  header.train_samples = reader.U64Le();
  header.validation_samples = reader.U64Le();
  header.native_size = reader.U32Le();
  const uint32_t crc = reader.U32Le();
  if (!reader.ok() || !magic || crc != PackCrc(page.substr(0, kCheckedBytes))) return std::nullopt;
  return header;
}

void PackEntry::AppendTo(std::string* out) const {
  AppendU64(offset, out);
  AppendU32(size, out);
  AppendU32(crc, out);
  AppendU32(label, out);
  AppendU32(uint32_t{height} << 16 | width, out);
  AppendU64(name_offset, out);
}

PackEntry PackEntry::Parse(absl::string_view bytes) {
  BoundedReader reader(bytes);
  PackEntry entry;
  entry.offset = reader.U64Le();
  entry.size = reader.U32Le();
  entry.crc = reader.U32Le();
  entry.label = reader.U32Le();
  entry.width = reader.U16Le();
  entry.height = reader.U16Le();
  entry.name_offset = reader.U64Le();
  return entry;
}

}  // namespace vit
