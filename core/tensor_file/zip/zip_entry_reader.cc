#include "core/tensor_file/zip/zip_entry_reader.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/tensor_file/tensor_bytes.h"

namespace vit {
namespace {

// A fuzzer cannot guess checksums, but must get past them.
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
constexpr bool kCheckCrc = false;
#else
constexpr bool kCheckCrc = true;
#endif

absl::Status Damaged(const ZipArchive::Entry& entry, absl::string_view why) {
  return absl::DataLossError(absl::StrCat("zip entry ", Quoted(entry.name), ": ", why));
}

absl::Status CheckCrc(const ZipArchive::Entry& entry, uint32_t crc) {
  if (crc == entry.crc32 || !kCheckCrc) return absl::OkStatus();
  return Damaged(entry, entry.crc32 == 0
                            ? "it was written without a checksum (save it again; in PyTorch with "
                              "torch.serialization.set_crc32_options(True)) or is damaged"
                            : "it does not match its checksum: the file is damaged");
}

uint32_t Crc(uint32_t crc, const char* data, uint64_t size) {
  if (size == 0) return crc;  // data may be null then, which zlib treats as another request
  return static_cast<uint32_t>(crc32_z(crc, reinterpret_cast<const Bytef*>(data), size));
}

}  // namespace

absl::StatusOr<absl::string_view> StoredContents(const ZipArchive::Entry& entry) {
  if (entry.deflated) {
    return absl::InvalidArgumentError(
        absl::StrCat("zip entry ", Quoted(entry.name), ": it is compressed"));
  }
  VIT_RETURN_IF_ERROR(CheckCrc(entry, Crc(0, entry.raw.data(), entry.raw.size())));
  return entry.raw;
}

// zlib's state over the entry's bytes. zlib counts in 32 bits, so they are fed in pieces.
struct ZipEntryReader::Inflater {
  explicit Inflater(absl::string_view packed) : rest(packed) {
    // Negative: raw deflate, without zlib's own header.
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream); }

  // Writes up to `size` bytes, fewer only at the stream's end or damage; returns their number.
  uint64_t Write(char* out, uint64_t size) {
    constexpr uint64_t kPiece = 1 << 30;
    uint64_t written = 0;
    while (result == Z_OK && written < size) {
      if (stream.avail_in == 0) {
        const absl::string_view piece = rest.substr(0, kPiece);
        stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
        stream.avail_in = static_cast<uInt>(piece.size());
        rest.remove_prefix(piece.size());
      }
      stream.next_out = reinterpret_cast<Bytef*>(out + written);
      stream.avail_out = static_cast<uInt>(std::min(size - written, kPiece));
      const uInt room = stream.avail_out;
      result = inflate(&stream, Z_NO_FLUSH);
      written += room - stream.avail_out;
    }
    return written;
  }

  z_stream stream = {};
  absl::string_view rest;  // not yet given to zlib
  int result = Z_OK;
};

ZipEntryReader::ZipEntryReader(const ZipArchive::Entry& entry)
    : entry_(entry), inflater_(entry.deflated ? std::make_unique<Inflater>(entry.raw) : nullptr) {}

ZipEntryReader::~ZipEntryReader() = default;

absl::Status ZipEntryReader::Read(char* out, uint64_t size) {
  if (size > entry_.size_bytes - position_) {
    return absl::InvalidArgumentError(absl::StrCat("zip entry ", Quoted(entry_.name),
                                                   ": it ends after ", entry_.size_bytes,
                                                   " bytes, too early"));
  }
  if (inflater_ == nullptr) {
    if (size > 0) std::memcpy(out, entry_.raw.data() + position_, size);
  } else if (inflater_->Write(out, size) != size) {
    return Damaged(entry_, "its compressed bytes are damaged or end too early");
  }
  position_ += size;
  crc32_ = Crc(crc32_, out, size);
  return absl::OkStatus();
}

absl::Status ZipEntryReader::Finish() {
  if (position_ != entry_.size_bytes) {
    return Damaged(entry_,
                   absl::StrCat("it holds ", entry_.size_bytes - position_, " bytes too many"));
  }
  if (inflater_ != nullptr) {
    char beyond;
    if (inflater_->Write(&beyond, 1) != 0) {
      return Damaged(entry_,
                     absl::StrCat("it holds more than the ", position_, " bytes it claims"));
    }
    if (inflater_->result != Z_STREAM_END || inflater_->stream.avail_in != 0 ||
        !inflater_->rest.empty()) {
      return Damaged(entry_, "its compressed bytes do not end where they should");
    }
  }
  return CheckCrc(entry_, crc32_);
}

}  // namespace vit
