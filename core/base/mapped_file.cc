#include "core/base/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace vit {

absl::StatusOr<SharedBytes> MapFile(const std::filesystem::path& path) {
  // O_NONBLOCK, because opening a pipe would wait for its writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path.string()));
  struct stat info;
  void* data = nullptr;
  absl::Status status;
  if (fstat(fd, &info) != 0) {
    status = absl::ErrnoToStatus(errno, absl::StrCat("stat ", path.string()));
  } else if (!S_ISREG(info.st_mode)) {
    status = absl::InvalidArgumentError(absl::StrCat(path.string(), " is not a regular file"));
  } else if (info.st_size > 0) {
    data = mmap(nullptr, info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      status = absl::ErrnoToStatus(errno, absl::StrCat("map ", path.string()));
    }
  }
  close(fd);
  if (!status.ok()) return status;
  if (data == nullptr) return SharedBytes{};
  const size_t size = info.st_size;
  return SharedBytes{absl::string_view(static_cast<const char*>(data), size),
                     std::shared_ptr<const void>(data, [size](const void* mapped) {
                       munmap(const_cast<void*>(mapped), size);
                     })};
}

}  // namespace vit
