#include "absl/strings/str_cat.h"
#include "tests/core/tensor_file/bad_files.h"
#include "tests/core/tensor_file/zip_builder.h"

namespace vit {
namespace {

// Where a field is in its structure.
constexpr size_t kLocalFlags = 6, kLocalMethod = 8, kLocalCrc = 14, kLocalRawBytes = 18,
                 kLocalBytes = 22, kLocalNameSize = 26, kLocalExtraSize = 28, kLocalName = 30;
constexpr size_t kFlags = 8, kMethod = 10, kCrc = 16, kRawBytes = 20, kBytes = 24, kNameSize = 28,
                 kExtraSize = 30, kCommentSize = 32, kDisk = 34, kOffset = 42, kName = 46;
constexpr size_t kEndDisk = 4, kEndDirectoryDisk = 6, kEndCountHere = 8, kEndCount = 10,
                 kEndSize = 12, kEndOffset = 16, kEndComment = 20;
constexpr size_t k64Size = 4, k64Disk = 16, k64CountHere = 24, k64Count = 32, k64DirectorySize = 40,
                 k64DirectoryOffset = 48;
constexpr size_t kLocatorDisk = 4, kLocatorOffset = 8, kLocatorDisks = 16;

constexpr uint64_t kHuge = uint64_t{1} << 63;

void AddCuts(const Zip& zip, std::vector<BadFile>* files) {
  const auto cut = [&](absl::string_view where, size_t size) {
    files->push_back(
        {absl::StrCat("cut ", where), zip.bytes.substr(0, size), "no end record; the file is cut"});
  };
  cut("in the first local header", 10);
  cut("in the first name", zip.local[0] + kLocalName + 1);
  cut("before the first contents", zip.data[0]);
  cut("in the first contents", zip.data[0] + 5);
  cut("before the second entry", zip.local[1]);
  cut("in the second local header", zip.local[1] + 20);
  cut("in the second contents", zip.data[1] + 5);
  cut("before the directory", zip.directory);
  cut("in the directory's first entry", zip.central[0] + 20);
  cut("before the directory's second entry", zip.central[1]);
  cut("in the directory's second name", zip.central[1] + kName + 1);
  cut("before the Zip64 record", zip.zip64_end);
  cut("in the Zip64 record", zip.zip64_end + 30);
  cut("before the Zip64 locator", zip.locator);
  cut("in the Zip64 locator", zip.locator + 10);
  cut("before the end record", zip.end);
  cut("in the end record", zip.end + 10);
  cut("one byte short", zip.bytes.size() - 1);
}

void AddEndRecords(const Zip& zip, std::vector<BadFile>* files) {
  const auto end = [&](absl::string_view what, size_t field, uint64_t value, int bytes,
                       const char* message) {
    files->push_back(
        {absl::StrCat("end record: ", what), zip.Patched(zip.end + field, value, bytes), message});
  };
  const uint64_t size = zip.end - zip.directory;
  end("no entries", kEndCountHere, 0, 4, "beyond its 0 entries");
  end("an entry too few", kEndCountHere, 0x00010001, 4, "beyond its 1 entries");
  end("an entry too many", kEndCountHere, 0x00030003, 4, "3 entries in a directory of");
  end("65534 entries", kEndCountHere, 0xfffefffe, 4, "65534 entries in a directory of");
  end("other entries on this disk", kEndCountHere, 1, 2, "several disks");
  end("other entries in all", kEndCount, 1, 2, "several disks");
  end("another disk", kEndDisk, 1, 2, "several disks");
  end("the directory on another disk", kEndDirectoryDisk, 1, 2, "several disks");
  end("a directory too small", kEndSize, size - 1, 4, "does not end at byte");
  end("a directory too large", kEndSize, size + 1, 4, "does not end at byte");
  end("an empty directory", kEndSize, 0, 4, "does not end at byte");
  end("a directory size for Zip64", kEndSize, 0xffffffff, 4, "does not end at byte");
  end("a directory elsewhere", kEndOffset, zip.directory + 1, 4, "does not end at byte");
  end("a directory at the beginning", kEndOffset, 0, 4, "does not end at byte");
  end("a directory offset for Zip64", kEndOffset, 0xffffffff, 4, "does not end at byte");
  end("a comment that is not there", kEndComment, 1, 2, "no end record");
  end("a comment of 65535 bytes", kEndComment, 0xffff, 2, "no end record");
  end("a wrong signature", 0, 0, 4, "no end record");
  files->push_back({"end record: bytes after it", zip.bytes + "xx", "no end record"});
  files->push_back({"end record: alone, with entries",
                    "PK\5\6" + Le(0, 4) + Le(2, 2) + Le(2, 2) + Le(92, 4) + Le(0, 4) + Le(0, 2),
                    "does not end at byte 0"});
}

void AddZip64Records(const Zip& zip, std::vector<BadFile>* files) {
  const auto record = [&](absl::string_view what, size_t at, uint64_t value, int bytes,
                          const char* message) {
    files->push_back({absl::StrCat("Zip64: ", what), zip.Patched(at, value, bytes), message});
  };
  const size_t end = zip.zip64_end, locator = zip.locator;
  record("no record", locator + kLocatorOffset, 0, 8, "no Zip64 record where its locator points");
  record("a record at 2^63", locator + kLocatorOffset, kHuge, 8, "where no record fits");
  record("a record at 2^64 - 1", locator + kLocatorOffset, ~uint64_t{0}, 8, "where no record fits");
  record("a record in its locator", locator + kLocatorOffset, locator, 8, "where no record fits");
  record("a record on another disk", locator + kLocatorDisk, 1, 4, "several disks");
  record("seven disks", locator + kLocatorDisks, 7, 4, "several disks");
  record("no locator", locator, 0, 4, "does not end at byte");
  record("a wrong signature", end, 0, 4, "no Zip64 record");
  record("a record too small", end + k64Size, 43, 8, "wrong size");
  record("a record of 2^63", end + k64Size, kHuge, 8, "wrong size");
  record("a record of 2^64 - 1", end + k64Size, ~uint64_t{0}, 8, "wrong size");
  record("this disk another", end + k64Disk, 1, 4, "several disks");
  record("other entries on this disk", end + k64CountHere, 1, 8, "several disks");
  record("another number of entries", end + k64Count, 3, 8, "several disks");
  record("a directory of 2^63", end + k64DirectorySize, kHuge, 8, "does not end at byte");
  record("a directory of 2^64 - 1", end + k64DirectorySize, ~uint64_t{0}, 8,
         "does not end at byte");
  record("a directory at 2^63", end + k64DirectoryOffset, kHuge, 8, "does not end at byte");
  record("a directory at 2^64 - 1", end + k64DirectoryOffset, ~uint64_t{0}, 8,
         "does not end at byte");
  record("an end record that says otherwise", zip.end + kEndCountHere, 0x00010001, 4,
         "contradict each other");
  Zip counted = zip;
  counted.bytes = zip.Patched(zip.end + kEndCountHere, 0xffffffff, 4);
  files->push_back({"Zip64: 2^63 entries",
                    [&] {
                      Zip both = counted;
                      both.bytes = counted.Patched(end + k64Count, kHuge, 8);
                      return both.Patched(end + k64CountHere, kHuge, 8);
                    }(),
                    "9223372036854775808 entries in a directory of"});
}

void AddDirectoryEntries(const Zip& zip, std::vector<BadFile>* files) {
  const auto entry = [&](absl::string_view what, size_t field, uint64_t value, int bytes,
                         const char* message) {
    files->push_back({absl::StrCat("directory: ", what),
                      zip.Patched(zip.central[1] + field, value, bytes), message});
  };
  entry("a wrong signature", 0, 0, 4, "damaged at entry 1 of 2");
  entry("encrypted", kFlags, 1, 2, "'b.npy': it is encrypted");
  entry("strongly encrypted", kFlags, 1 << 6, 2, "it is encrypted");
  entry("with masked headers", kFlags, 1 << 13, 2, "it is encrypted");
  entry("flags that the entry does not have", kFlags, 1 << 11, 2, "contradict each other");
  for (const int method : {1, 6, 9, 12, 14, 93, 95, 99, 65535}) {
    entry(absl::StrCat("method ", method), kMethod, method, 2, "only stored and deflated");
  }
  entry("deflated though it is stored", kMethod, 8, 2, "contradict each other");
  entry("another checksum", kCrc, 1, 4, "contradict each other");
  entry("more bytes than are stored", kBytes, 1000, 4, "stored, but");
  entry("fewer bytes than are stored", kBytes, 1, 4, "stored, but");
  entry("bytes that leave the archive", kRawBytes, 0x7fffffff, 4, "stored, but 2147483647 bytes");
  entry("sizes for Zip64 that are not there", kBytes, 0xffffffff, 4, "Zip64 sizes are missing");
  entry("a name beyond the directory", kNameSize, 0xffff, 2, "ends within entry 1");
  entry("extra fields beyond the directory", kExtraSize, 0xffff, 2, "ends within entry 1");
  entry("a comment beyond the directory", kCommentSize, 0xffff, 2, "ends within entry 1");
  entry("a name too short", kNameSize, 4, 2, "beyond its 2 entries");
  entry("on another disk", kDisk, 1, 2, "several disks");
  entry("in the middle of another", kOffset, 3, 4, "overlaps another entry");
  entry("where another is", kOffset, 0, 4, "overlaps another entry");
  entry("in the directory", kOffset, zip.directory, 4, "no local header");
  entry("beyond the archive", kOffset, 0x7fffffff, 4, "no local header");
  entry("within its contents", kOffset, zip.data[1], 4, "no local header");
  entry("the other's name", kName, 'a', 1, "two entries have this name");
  entry("another name", kName, 'c', 1, "contradict each other");
}

void AddLocalHeaders(const Zip& zip, std::vector<BadFile>* files) {
  const auto header = [&](absl::string_view what, size_t field, uint64_t value, int bytes,
                          const char* message) {
    files->push_back({absl::StrCat("local header: ", what),
                      zip.Patched(zip.local[0] + field, value, bytes), message});
  };
  // The first four bytes identify the file, so this changes the second entry's.
  files->push_back({"local header: a wrong signature", zip.Patched(zip.local[1], 0, 4),
                    "'b.npy': there is no local header"});
  header("encrypted", kLocalFlags, 1, 2, "contradict each other");
  header("deflated", kLocalMethod, 8, 2, "contradict each other");
  header("another checksum", kLocalCrc, 1, 4, "contradict each other");
  header("another raw size", kLocalRawBytes, 1, 4, "contradict each other");
  header("another size", kLocalBytes, 1, 4, "contradict each other");
  header("a size for Zip64 that is not there", kLocalBytes, 0xffffffff, 4,
         "Zip64 sizes are missing");
  header("another name", kLocalName, 'c', 1, "contradict each other");
  header("a name beyond the contents", kLocalNameSize, 0xffff, 2,
         "extend beyond the archive's contents");
  header("a name too short", kLocalNameSize, 4, 2, "contradict each other");
  header("extra fields beyond the contents", kLocalExtraSize, 0xffff, 2,
         "extend beyond the archive's contents");
  header("extra fields that are none", kLocalExtraSize, 6, 2, "extra fields are damaged");
}

void AddZip64Entries(std::vector<BadFile>* files) {
  const Zip zip = MakeZip({{.name = "a.npy", .contents = FloatArray("(2,)", 2), .zip64 = true}});
  // Directory entry, name, then the field: id, size, contents' size, raw size.
  const size_t extra = zip.central[0] + kName + 5;
  const auto patch = [&](absl::string_view what, size_t at, uint64_t value, int bytes,
                         const char* message) {
    files->push_back({absl::StrCat("Zip64 entry: ", what), zip.Patched(at, value, bytes), message});
  };
  patch("contents of 2^63", extra + 4, kHuge, 8, "hold 9223372036854775808");
  patch("raw bytes of 2^63", extra + 12, kHuge, 8, "9223372036854775808 bytes hold");
  patch("raw bytes of 2^64 - 1", extra + 12, ~uint64_t{0}, 8, "18446744073709551615 bytes hold");
  patch("a field too short", extra + 2, 8, 2, "Zip64 sizes are missing");
  patch("a field too long", extra + 2, 17, 2, "extra fields are damaged");
  patch("a field of another kind", extra, 2, 2, "Zip64 sizes are missing");
  Zip both = zip;
  both.bytes = zip.Patched(extra + 4, kHuge, 8);
  files->push_back({"Zip64 entry: contents and raw bytes of 2^63",
                    both.Patched(extra + 12, kHuge, 8),
                    "its 9223372036854775808 bytes at byte 0 extend beyond the archive"});
}

void AddContents(std::vector<BadFile>* files) {
  const std::string array = FloatArray("(64,)", 64);
  const Zip stored = MakeZip({{"a.npy", array}});
  files->push_back({"stored contents damaged", stored.Patched(stored.directory - 1, 1, 1),
                    "does not match its checksum"});
  const Zip deflated = MakeZip({{"a.npy", array, /*deflated=*/true}});
  const size_t raw_bytes = deflated.directory - deflated.data[0];
  files->push_back({"deflated contents damaged", deflated.Patched(deflated.data[0], 0xff, 1),
                    "compressed bytes are damaged"});
  files->push_back({"deflated contents cut", deflated.Patched(deflated.directory - 4, 0, 4),
                    "zip entry 'a.npy'"});
  // Both sizes are stored twice.
  const auto sizes = [&](uint64_t bytes, uint64_t raw) {
    Zip zip = deflated;
    const std::string value = Le(raw, 4) + Le(bytes, 4);
    zip.bytes.replace(zip.local[0] + kLocalRawBytes, 8, value);
    zip.bytes.replace(zip.central[0] + kRawBytes, 8, value);
    return zip.bytes;
  };
  files->push_back({"a deflated entry that claims 4 GB", sizes(4'000'000'000, raw_bytes),
                    "compressed bytes cannot hold 4000000000"});
  files->push_back({"a deflated entry that claims too much", sizes(array.size() + 8, raw_bytes),
                    "does not fit the 264 bytes after the header"});
  files->push_back({"a deflated entry that claims too little", sizes(array.size() - 8, raw_bytes),
                    "does not fit the 248 bytes after the header"});
  files->push_back({"a deflated entry that claims nothing", sizes(0, raw_bytes),
                    "it ends after 0 bytes, too early"});
  files->push_back({"a deflated entry without bytes", sizes(array.size(), 0),
                    "compressed bytes are damaged or end too early"});
  files->push_back({"a deflated entry with a byte too few", sizes(array.size(), raw_bytes - 1),
                    "zip entry 'a.npy'"});
}

// Deflated contents that differ from the entry, with a header whose shape matches the lie.
void AddLyingStreams(std::vector<BadFile>* files) {
  const auto lie = [&](absl::string_view what, const std::string& real, const std::string& claimed,
                       const std::string& after, const char* message) {
    const std::string raw = Deflate(real) + after;
    Zip zip = MakeZip({{"a.npy", raw}});
    const std::string sizes = Le(raw.size(), 4) + Le(claimed.size(), 4);
    for (const auto& [method, size] :
         {std::pair(zip.local[0] + kLocalMethod, zip.local[0] + kLocalRawBytes),
          std::pair(zip.central[0] + kMethod, zip.central[0] + kRawBytes)}) {
      zip.bytes.replace(method, 2, Le(8, 2));
      zip.bytes.replace(size, 8, sizes);
    }
    files->push_back({std::string(what), zip.bytes, message});
  };
  const std::string array = FloatArray("(64,)", 64);
  lie("a stream that is longer than the entry", array + "x", array, "",
      "it holds more than the 325 bytes it claims");
  lie("a stream that is shorter than the entry", array.substr(0, array.size() - 1), array, "",
      "compressed bytes are damaged or end too early");
  lie("bytes after the stream", array, array, "x", "do not end where they should");
  lie("a stream of megabytes for a small entry", array + std::string(8 << 20, '\0'), array, "",
      "it holds more than the 325 bytes it claims");
}

}  // namespace

std::vector<BadFile> BadZips() {
  const std::vector<ZipPart> parts = {{"a.npy", FloatArray("(2,)", 2)},
                                      {"b.npy", FloatArray("(3,)", 3)}};
  const Zip zip = MakeZip(parts);
  const Zip zip64 = MakeZip(parts, /*zip64=*/true);
  std::vector<BadFile> files;
  AddCuts(zip64, &files);
  AddEndRecords(zip, &files);
  AddZip64Records(zip64, &files);
  AddDirectoryEntries(zip, &files);
  AddLocalHeaders(zip, &files);
  AddZip64Entries(&files);
  AddContents(&files);
  AddLyingStreams(&files);
  return files;
}

}  // namespace vit
