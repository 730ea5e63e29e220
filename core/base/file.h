// Files that survive crashes: what is written appears whole or not at all.
#ifndef VIT_CORE_BASE_FILE_H_
#define VIT_CORE_BASE_FILE_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace vit {

// Reads the whole file. RESOURCE_EXHAUSTED if it is larger than `max_bytes`.
absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path, int64_t max_bytes);

// Reads `count` bytes from `offset` on. RESOURCE_EXHAUSTED if they are more than `max_bytes`,
// INVALID_ARGUMENT if the file ends earlier.
absl::StatusOr<std::string> ReadFilePart(const std::filesystem::path& path, int64_t offset,
                                         int64_t count, int64_t max_bytes);

// An open file being written in order. Every error of write, fsync and close is reported.
class FileWriter {
 public:
  static absl::StatusOr<FileWriter> Create(const std::filesystem::path& path);
  FileWriter(FileWriter&& other) noexcept;
  FileWriter& operator=(FileWriter&&) = delete;
  ~FileWriter();

  absl::Status Append(absl::string_view data);
  // fsync and close.
  absl::Status SyncAndClose();

 private:
  FileWriter(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  std::filesystem::path path_;
};

// Creates or replaces `path`, fsynced. A crash may leave half of it: for files of a folder that
// appears whole or not at all (WriteDirectoryAtomically).
absl::Status WriteFile(const std::filesystem::path& path, absl::string_view content);

// Creates or replaces `path`: written beside it, fsynced, renamed, its folder fsynced.
absl::Status WriteFileAtomically(const std::filesystem::path& path, absl::string_view content);

// Creates or replaces the folder `path`, filled by `fill`, which gets the folder to write into.
// `fill` must fsync the files in it (FileWriter does). The folder is made as `path` + ".tmp",
// fsynced, then renamed. On an error nothing of it remains, and an earlier `path` is unchanged.
absl::Status WriteDirectoryAtomically(
    const std::filesystem::path& path,
    const std::function<absl::Status(const std::filesystem::path& directory)>& fill);

absl::Status SyncDirectory(const std::filesystem::path& path);

// mkdir -p, each new folder's entry fsynced.
absl::Status CreateDirectories(const std::filesystem::path& path);

// rm -rf; OK if nothing is there. Renames the tree aside first, so that a crash never leaves half
// of it under its name.
absl::Status RemoveTree(const std::filesystem::path& path);

// Makes `to` the same file as `from` by a hard link, or a copy if linking fails.
absl::Status LinkOrCopy(const std::filesystem::path& from, const std::filesystem::path& to);
// Does the same for the files with these names, from folder `from` to folder `to`.
absl::Status LinkFiles(const std::filesystem::path& from, const std::filesystem::path& to,
                       const std::vector<std::string>& names);

// Resolves every symbolic link of `path`, which must be inside one of `roots` (themselves
// resolved). INVALID_ARGUMENT for a relative path, NOT_FOUND if nothing is there, PERMISSION_DENIED
// outside the roots; the message names the roots. Without roots, every path is outside.
absl::StatusOr<std::filesystem::path> ResolveUnderRoots(absl::string_view path,
                                                        absl::Span<const std::string> roots);

// As ResolveUnderRoots, but keeps the name of a link to a file, in its resolved folder: the files
// that belong to it are beside that name.
absl::StatusOr<std::filesystem::path> ResolveNamedUnderRoots(absl::string_view path,
                                                             absl::Span<const std::string> roots);

// Resolves the symbolic links of `directory`/`name`. NOT_FOUND if there is nothing of that name,
// PERMISSION_DENIED if a link leads out of `directory` and of all `roots`.
absl::StatusOr<std::filesystem::path> ResolveInside(const std::filesystem::path& directory,
                                                    const std::string& name,
                                                    absl::Span<const std::string> roots = {});

// A lock on a file, held by one process at a time and released when it ends, however it ends.
class FileLock {
 public:
  // ALREADY_EXISTS only if another process holds it.
  static absl::StatusOr<FileLock> Acquire(const std::filesystem::path& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace vit

#endif  // VIT_CORE_BASE_FILE_H_
