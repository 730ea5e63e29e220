#include "server/listen_address.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace vit {

std::string ListenAddress::ToString() const {
  return absl::StrContains(host, ':') ? absl::StrCat("[", host, "]:", port)
                                      : absl::StrCat(host, ":", port);
}

bool ListenAddress::is_loopback() const {
  return host == "localhost" || host == "::1" || absl::StartsWith(host, "127.");
}

absl::StatusOr<ListenAddress> ParseListenAddress(const std::string& text) {
  const auto error = [&] {
    return absl::InvalidArgumentError(absl::StrCat(
        "address '", text,
        "': expected HOST:PORT, such as 127.0.0.1:50051, 0.0.0.0:50051 or [::1]:50051"));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return error();
  ListenAddress address;
  address.host = text.substr(0, colon);
  if (address.host.front() == '[' && address.host.back() == ']') {
    address.host = address.host.substr(1, address.host.size() - 2);
  } else if (absl::StrContains(address.host, ':')) {
    return error();
  }
  if (address.host.empty() || address.host.find_first_of(" /,[]") != std::string::npos) {
    return error();
  }
  if (!absl::SimpleAtoi(text.substr(colon + 1), &address.port) || address.port < 0 ||
      address.port > 65535) {
    return error();
  }
  return address;
}

absl::Status ExplainListenFailure(const ListenAddress& address) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int resolved =
      getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(), &hints, &found);
  const std::string what = absl::StrCat("cannot listen on ", address.ToString(), ": ");
  if (resolved != 0) return absl::InvalidArgumentError(absl::StrCat(what, gai_strerror(resolved)));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> results(found, &freeaddrinfo);
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    const int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0) continue;
    // As servers do, so that connections of a server that just ended do not look like a server.
    const int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    int error = bind(fd, a->ai_addr, a->ai_addrlen) != 0 ? errno : 0;
    if (error == 0 && listen(fd, 1) != 0) error = errno;
    close(fd);
    if (error == EADDRINUSE) {
      return absl::FailedPreconditionError(absl::StrCat(
          what, "another process (another vitd?) listens there; stop it or choose another port"));
    }
    if (error != 0) {
      return absl::ErrnoToStatus(error, absl::StrCat("cannot listen on ", address.ToString()));
    }
  }
  return absl::UnavailableError(absl::StrCat(what, "it was taken a moment ago; try again"));
}

}  // namespace vit
