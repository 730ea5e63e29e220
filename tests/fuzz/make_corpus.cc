// Writes tests/fuzz/corpus/: the small files of tests/data/weights and those that the tests want
// refused. Run again when either changes.
//   make_corpus SOURCE_FOLDER
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/tensor_file/zip/zip_archive.h"
#include "tests/core/tensor_file/bad_files.h"

namespace vit {
namespace {

namespace fs = std::filesystem;

// Larger ones teach a fuzzer nothing that a small one does not, and slow it down.
constexpr size_t kMaxBytes = 6000;

// The pickle of a PyTorch file, which the fuzz target takes by itself too; empty where it has none.
std::string PickleOf(const std::string& file) {
  const absl::StatusOr<ZipArchive> archive = ZipArchive::Open({file, nullptr});
  if (!archive.ok()) return "";
  for (const ZipArchive::Entry& entry : archive->entries()) {
    if (absl::EndsWith(entry.name, "/data.pkl") && !entry.deflated) return std::string(entry.raw);
  }
  return "";
}

absl::Status Write(const fs::path& folder, const std::string& name, const std::string& bytes) {
  if (bytes.empty() || bytes.size() > kMaxBytes) return absl::OkStatus();
  std::string plain;
  for (const char c : name) plain += absl::ascii_isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return WriteFile(folder / plain.substr(0, 80), bytes);
}

absl::Status WriteGood(const fs::path& source, const fs::path& corpus) {
  for (const fs::directory_entry& file : fs::directory_iterator(source / "tests/data/weights")) {
    const std::string name = file.path().filename().string();
    VIT_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(file.path(), 1 << 20));
    if (name == "readings.json") continue;
    const bool is_index = absl::EndsWith(name, ".json");
    const bool is_safetensors = absl::EndsWith(name, ".safetensors");
    const bool is_npz = absl::EndsWith(name, ".npz");
    const fs::path folder = corpus / (is_index         ? "index"
                                      : is_safetensors ? "safetensors"
                                      : is_npz         ? "npz"
                                                       : "pytorch");
    VIT_RETURN_IF_ERROR(Write(folder, name, bytes));
    VIT_RETURN_IF_ERROR(Write(corpus / "pytorch", absl::StrCat(name, "_pickle"), PickleOf(bytes)));
  }
  return absl::OkStatus();
}

absl::Status WriteCorpus(const fs::path& source) {
  const fs::path corpus = source / "tests/fuzz/corpus";
  VIT_RETURN_IF_ERROR(RemoveTree(corpus));
  for (const char* target : {"safetensors", "npz", "pytorch", "index"}) {
    VIT_RETURN_IF_ERROR(CreateDirectories(corpus / target));
  }
  VIT_RETURN_IF_ERROR(WriteGood(source, corpus));
  const auto write = [&](const char* target, const std::vector<BadFile>& files) -> absl::Status {
    for (const BadFile& file : files) {
      VIT_RETURN_IF_ERROR(Write(corpus / target, "bad " + file.name, file.bytes));
    }
    return absl::OkStatus();
  };
  VIT_RETURN_IF_ERROR(write("safetensors", BadSafetensors()));
  VIT_RETURN_IF_ERROR(write("npz", BadZips()));
  VIT_RETURN_IF_ERROR(write("npz", BadArrays()));
  VIT_RETURN_IF_ERROR(write("pytorch", BadPytorchArchives()));
  for (const BadFile& file : BadPickles()) {
    VIT_RETURN_IF_ERROR(Write(corpus / "pytorch", "bad " + file.name, PickleOf(file.bytes)));
  }
  return write("index", BadIndices());
}

}  // namespace
}  // namespace vit

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: make_corpus SOURCE_FOLDER\n";
    return EXIT_FAILURE;
  }
  const absl::Status status = vit::WriteCorpus(argv[1]);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? EXIT_SUCCESS : EXIT_FAILURE;
}
