#include "server/net/listen_address.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace vit {
namespace {

constexpr absl::string_view kSocketPrefix = "unix:";

sockaddr_un SocketAddress(const ListenAddress& address) {
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  address.socket.copy(name.sun_path, sizeof(name.sun_path) - 1);
  return name;
}

absl::Status CannotListen(const ListenAddress& address, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("cannot listen on ", address.ToString(), ": ", why));
}

absl::Status Taken(const ListenAddress& address) {
  return CannotListen(address,
                      absl::StrCat("another process (another vitd?) listens there; stop it or "
                                   "choose another ",
                                   address.socket.empty() ? "port" : "path"));
}

absl::Status CannotListen(const ListenAddress& address, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat("cannot listen on ", address.ToString()));
}

// Listens for a moment; returns 0 or the errno.
int TryListen(int family, int protocol, const sockaddr* address, socklen_t length) {
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, protocol);
  if (fd < 0) return 0;
  // As servers do, so that connections of a server that just ended do not look like a server.
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  int error = bind(fd, address, length) != 0 ? errno : 0;
  if (error == 0 && listen(fd, 1) != 0) error = errno;
  close(fd);
  return error;
}

}  // namespace

std::string ListenAddress::ToString() const {
  if (!socket.empty()) return absl::StrCat(kSocketPrefix, socket);
  return absl::StrContains(host, ':') ? absl::StrCat("[", host, "]:", port)
                                      : absl::StrCat(host, ":", port);
}

bool ListenAddress::is_loopback() const {
  return !socket.empty() || host == "localhost" || host == "::1" || absl::StartsWith(host, "127.");
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

absl::StatusOr<ListenAddress> ParseListenAddressOrSocket(const std::string& text) {
  if (!absl::StartsWith(text, kSocketPrefix)) return ParseListenAddress(text);
  ListenAddress address;
  address.socket = text.substr(kSocketPrefix.size());
  constexpr size_t kMaxLength = sizeof(sockaddr_un::sun_path) - 1;
  if (!absl::StartsWith(address.socket, "/") || address.socket.size() > kMaxLength) {
    return absl::InvalidArgumentError(
        absl::StrCat("address '", text, "': expected unix: and an absolute path of at most ",
                     kMaxLength, " bytes, such as unix:/run/vitd/vitd.sock"));
  }
  return address;
}

absl::Status RemoveStaleSocket(const ListenAddress& address) {
  struct stat info;
  if (address.socket.empty() || lstat(address.socket.c_str(), &info) != 0) return absl::OkStatus();
  if (!S_ISSOCK(info.st_mode)) {
    return CannotListen(address,
                        "a file that is not a socket is there; remove it or choose another path");
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return CannotListen(address, errno);
  const sockaddr_un name = SocketAddress(address);
  const bool connected = connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0;
  const int error = connected ? 0 : errno;
  close(fd);
  if (connected || error == EAGAIN) return Taken(address);
  if (error == ECONNREFUSED && unlink(address.socket.c_str()) == 0) return absl::OkStatus();
  return CannotListen(address, error == ECONNREFUSED ? errno : error);
}

absl::Status ExplainListenFailure(const ListenAddress& address) {
  const std::string what = absl::StrCat("cannot listen on ", address.ToString());
  const auto explain = [&](int error) {
    return error == EADDRINUSE ? Taken(address) : CannotListen(address, error);
  };
  absl::Status gone =
      absl::UnavailableError(absl::StrCat(what, ": it was taken a moment ago; try again"));
  if (!address.socket.empty()) {
    const sockaddr_un name = SocketAddress(address);
    const int error = TryListen(AF_UNIX, 0, reinterpret_cast<const sockaddr*>(&name), sizeof(name));
    if (error != 0) return explain(error);
    unlink(address.socket.c_str());
    return gone;
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int resolved =
      getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(), &hints, &found);
  if (resolved != 0) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", gai_strerror(resolved)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> results(found, &freeaddrinfo);
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    const int error = TryListen(a->ai_family, a->ai_protocol, a->ai_addr, a->ai_addrlen);
    if (error != 0) return explain(error);
  }
  return gone;
}

}  // namespace vit
