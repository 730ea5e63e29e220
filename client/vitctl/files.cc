#include "client/vitctl/files.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace vit {

absl::StatusOr<std::string> ReadImage(const std::string& file, std::istream& in) {
  if (file != "-") return ReadImageFile(file);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  if (bytes.empty()) return absl::InvalidArgumentError("standard input is empty");
  return bytes;
}

absl::StatusOr<std::string> ReadImageFile(const std::string& file) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) {
    return absl::InvalidArgumentError("is a directory");
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    return errno == ENOENT ? absl::NotFoundError("no such file")
                           : absl::UnknownError(std::strerror(errno));
  }
  std::string bytes;
  const auto size = std::filesystem::file_size(file, error);
  if (!error) bytes.reserve(size);
  std::array<char, 64 << 10> block;
  do {
    stream.read(block.data(), block.size());
    bytes.append(block.data(), static_cast<size_t>(stream.gcount()));
  } while (stream);
  if (stream.bad()) return absl::UnknownError("cannot be read");
  return bytes;
}

absl::Status WriteOutput(const std::string& file, absl::string_view content) {
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  stream.write(content.data(), static_cast<std::streamsize>(content.size()));
  stream.flush();
  if (stream) return absl::OkStatus();
  return absl::UnknownError(
      absl::StrCat("cannot write ", file, ": ", errno == 0 ? "disk full?" : std::strerror(errno)));
}

}  // namespace vit
