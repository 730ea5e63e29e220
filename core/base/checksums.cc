#include "core/base/checksums.h"

#include <openssl/evp.h>

#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace vit {
namespace {

namespace fs = std::filesystem;

constexpr char kSums[] = "SHA256SUMS";
constexpr int64_t kMaxSumsBytes = 1 << 20;

absl::StatusOr<std::string> Sha256(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return fs::exists(path)
               ? absl::PermissionDeniedError(absl::StrCat(path.string(), " cannot be opened"))
               : absl::DataLossError(absl::StrCat(path.string(), " is missing"));
  }
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  std::vector<char> buffer(1 << 20);
  while (file) {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    EVP_DigestUpdate(context.get(), buffer.data(), file.gcount());
  }
  if (file.bad()) return absl::DataLossError(absl::StrCat(path.string(), " cannot be read"));
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(context.get(), digest, &size);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(digest), size));
}

}  // namespace

absl::Status WriteChecksums(const fs::path& directory, const std::vector<std::string>& names) {
  std::string sums;
  for (const std::string& name : names) {
    VIT_ASSIGN_OR_RETURN(const std::string digest, Sha256(directory / name));
    absl::StrAppend(&sums, digest, "  ", name, "\n");
  }
  return WriteFile(directory / kSums, sums);
}

absl::Status VerifyChecksums(const fs::path& directory, const std::vector<std::string>& names) {
  const absl::StatusOr<std::string> sums = ReadFile(directory / kSums, kMaxSumsBytes);
  if (absl::IsNotFound(sums.status())) {
    return absl::DataLossError(absl::StrCat((directory / kSums).string(), " is missing"));
  }
  VIT_RETURN_IF_ERROR(sums.status());
  std::map<std::string, std::string> expected;  // digest by name
  for (absl::string_view line : absl::StrSplit(*sums, '\n', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(line, absl::MaxSplits("  ", 1));
    expected[parts.second] = parts.first;
  }
  for (const std::string& name : names) {
    VIT_ASSIGN_OR_RETURN(const std::string digest, Sha256(directory / name));
    if (digest != expected[name]) {
      return absl::DataLossError(absl::StrCat((directory / name).string(),
                                              " does not match its checksum in ", kSums,
                                              ": it was changed or damaged after it was written"));
    }
  }
  return absl::OkStatus();
}

}  // namespace vit
