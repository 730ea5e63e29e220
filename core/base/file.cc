#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"

namespace vit {
namespace fs = std::filesystem;

namespace {

absl::Status FromErrorCode(const std::error_code& code, absl::string_view what) {
  return code ? absl::ErrnoToStatus(code.value(), what) : absl::OkStatus();
}

// A file descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// Whether `inner` is `outer` or below it, both as written.
bool IsInside(const fs::path& inner, const fs::path& outer) {
  const fs::path relative = inner.lexically_relative(outer);
  return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const fs::path& path, int64_t max_bytes) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path.string()));
  struct stat info;
  if (fstat(fd.get(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("stat ", path.string()));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path.string(), " is not a regular file"));
  }
  if (info.st_size > max_bytes) {
    return OverLimitError(absl::StrCat(path.string(), " has ", info.st_size, " bytes; at most ",
                                       max_bytes, " are read"));
  }
  std::string content(info.st_size, '\0');
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = read(fd.get(), content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", path.string()));
    if (n == 0) break;
    done += n;
  }
  content.resize(done);
  return content;
}

absl::StatusOr<std::string> ReadFilePart(const fs::path& path, int64_t offset, int64_t count,
                                         int64_t max_bytes) {
  if (count > max_bytes) {
    return OverLimitError(
        absl::StrCat(count, " bytes of ", path.string(), "; at most ", max_bytes, " are read"));
  }
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path.string()));
  std::string content(count, '\0');
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = pread(fd.get(), content.data() + done, content.size() - done,
                            offset + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", path.string()));
    if (n == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(path.string(), " ends before byte ", offset + count));
    }
    done += n;
  }
  return content;
}

absl::StatusOr<FileWriter> FileWriter::Create(const fs::path& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("create ", path.string()));
  return FileWriter(fd, path);
}

FileWriter::FileWriter(FileWriter&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

FileWriter::~FileWriter() {
  if (fd_ >= 0) close(fd_);
}

absl::Status FileWriter::Append(absl::string_view data) {
  while (!data.empty()) {
    const ssize_t n = write(fd_, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("write ", path_.string()));
    data.remove_prefix(n);
  }
  return absl::OkStatus();
}

absl::Status FileWriter::SyncAndClose() {
  const int fd = std::exchange(fd_, -1);
  const bool synced = fsync(fd) == 0;
  const int sync_error = errno;
  if (close(fd) != 0 && synced) {
    return absl::ErrnoToStatus(errno, absl::StrCat("close ", path_.string()));
  }
  if (!synced) return absl::ErrnoToStatus(sync_error, absl::StrCat("fsync ", path_.string()));
  return absl::OkStatus();
}

absl::Status SyncDirectory(const fs::path& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path.string()));
  if (fsync(fd.get()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("fsync ", path.string()));
  }
  return absl::OkStatus();
}

absl::Status CreateDirectories(const fs::path& path) {
  std::error_code code;
  if (fs::is_directory(path, code)) return absl::OkStatus();
  const fs::path parent = path.parent_path();
  if (!parent.empty() && parent != path) VIT_RETURN_IF_ERROR(CreateDirectories(parent));
  if (fs::create_directory(path, code)) return SyncDirectory(parent.empty() ? "." : parent);
  return FromErrorCode(code, absl::StrCat("create folder ", path.string()));
}

absl::Status RemoveTree(const fs::path& path) {
  const fs::path aside = path.string() + ".removed";
  std::error_code code;
  fs::remove_all(aside, code);
  fs::rename(path, aside, code);
  if (code && code.value() == ENOENT) return absl::OkStatus();
  VIT_RETURN_IF_ERROR(FromErrorCode(code, absl::StrCat("remove ", path.string())));
  fs::remove_all(aside, code);
  return FromErrorCode(code, absl::StrCat("remove ", aside.string()));
}

absl::Status WriteFile(const fs::path& path, absl::string_view content) {
  VIT_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(path));
  VIT_RETURN_IF_ERROR(writer.Append(content));
  return writer.SyncAndClose();
}

absl::Status WriteFileAtomically(const fs::path& path, absl::string_view content) {
  const fs::path aside = path.string() + ".tmp";
  const absl::Status written = [&] {
    VIT_RETURN_IF_ERROR(WriteFile(aside, content));
    std::error_code code;
    fs::rename(aside, path, code);
    return FromErrorCode(code, absl::StrCat("rename to ", path.string()));
  }();
  if (!written.ok()) {
    unlink(aside.c_str());
    return written;
  }
  return SyncDirectory(path.parent_path());
}

absl::Status WriteDirectoryAtomically(
    const fs::path& path, const std::function<absl::Status(const fs::path& directory)>& fill) {
  const fs::path aside = path.string() + ".tmp";
  std::error_code code;
  fs::remove_all(aside, code);
  const absl::Status written = [&]() -> absl::Status {
    VIT_RETURN_IF_ERROR(CreateDirectories(aside));
    VIT_RETURN_IF_ERROR(fill(aside));
    VIT_RETURN_IF_ERROR(SyncDirectory(aside));
    // Exchanges an earlier `path` with the new one, so that one exists at every moment.
    if (renameat2(AT_FDCWD, aside.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) {
      return absl::OkStatus();
    }
    if (errno == EINVAL) VIT_RETURN_IF_ERROR(RemoveTree(path));  // the file system cannot exchange
    fs::rename(aside, path, code);
    return FromErrorCode(code, absl::StrCat("rename to ", path.string()));
  }();
  const absl::Status synced = written.ok() ? SyncDirectory(path.parent_path()) : written;
  fs::remove_all(aside, code);  // the earlier one, or an unfinished one
  return synced;
}

absl::Status LinkOrCopy(const fs::path& from, const fs::path& to) {
  std::error_code code;
  fs::create_hard_link(from, to, code);
  if (!code) return absl::OkStatus();
  fs::copy_file(from, to, code);
  if (code) return absl::ErrnoToStatus(code.value(), absl::StrCat("copy ", from.string()));
  const Fd copy(open(to.c_str(), O_RDONLY | O_CLOEXEC));
  if (copy.get() < 0 || fsync(copy.get()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("copy ", from.string()));
  }
  return SyncDirectory(to.parent_path());
}

absl::Status LinkFiles(const fs::path& from, const fs::path& to,
                       const std::vector<std::string>& names) {
  for (const std::string& name : names) VIT_RETURN_IF_ERROR(LinkOrCopy(from / name, to / name));
  return absl::OkStatus();
}

absl::StatusOr<fs::path> ResolveUnderRoots(absl::string_view path,
                                           absl::Span<const std::string> roots) {
  const fs::path given{std::string(path)};
  if (!given.is_absolute()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "path '", path, "' is not absolute; give an absolute path on the daemon's machine"));
  }
  const std::string not_under = absl::StrCat(
      " not under a data root (",
      roots.empty()
          ? "none is set; start vitd with --data-root DIR)"
          : absl::StrCat(absl::StrJoin(roots, ", "),
                         "); move it there, or start vitd with one more --data-root DIR"));
  const absl::Status outside =
      absl::PermissionDeniedError(absl::StrCat("path '", path, "' is", not_under));
  // A path that is outside as written is refused before the file system is asked, so that nothing
  // outside can be probed.
  bool maybe = false;
  std::error_code code;
  for (const std::string& root : roots) {
    maybe = maybe || IsInside(given.lexically_normal(), fs::path(root).lexically_normal()) ||
            IsInside(given.lexically_normal(), fs::weakly_canonical(root, code));
  }
  if (!maybe) return outside;
  const fs::path resolved = fs::canonical(given, code);
  if (code) return absl::ErrnoToStatus(code.value(), absl::StrCat("path '", path, "'"));
  for (const std::string& root : roots) {
    const fs::path resolved_root = fs::canonical(root, code);
    if (!code && IsInside(resolved, resolved_root)) return resolved;
  }
  return absl::PermissionDeniedError(
      absl::StrCat("path '", path, "' resolves to '", resolved.string(), "', which is", not_under));
}

absl::StatusOr<fs::path> ResolveNamedUnderRoots(absl::string_view path,
                                                absl::Span<const std::string> roots) {
  absl::StatusOr<fs::path> resolved = ResolveUnderRoots(path, roots);
  std::error_code code;
  if (!resolved.ok() || fs::is_directory(*resolved, code)) return resolved;
  const fs::path given{std::string(path)};
  const fs::path folder = fs::canonical(given.parent_path(), code);
  return code ? *resolved : folder / given.filename();
}

absl::StatusOr<fs::path> ResolveInside(const fs::path& directory, const std::string& name,
                                       absl::Span<const std::string> roots) {
  std::error_code code;
  const fs::path resolved = fs::canonical(directory / name, code);
  if (code) {
    return absl::ErrnoToStatus(code.value(),
                               absl::StrCat("path '", (directory / name).string(), "'"));
  }
  if (IsInside(resolved, fs::canonical(directory, code))) return resolved;
  for (const std::string& root : roots) {
    const fs::path resolved_root = fs::canonical(root, code);
    if (!code && IsInside(resolved, resolved_root)) return resolved;
  }
  return absl::PermissionDeniedError(absl::StrCat(
      "path '", (directory / name).string(), "' is a link that leads out of its folder",
      roots.empty() ? "" : absl::StrCat(" and the data roots (", absl::StrJoin(roots, ", "), ")"),
      ", to '", resolved.string(), "'; put the file itself there"));
}

absl::StatusOr<FileLock> FileLock::Acquire(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path.string()));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    close(fd);
    if (error == EWOULDBLOCK) {
      return absl::AlreadyExistsError(absl::StrCat(path.string(), " is locked by another process"));
    }
    return absl::ErrnoToStatus(error, absl::StrCat("lock ", path.string()));
  }
  return FileLock(fd);
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock::~FileLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace vit
