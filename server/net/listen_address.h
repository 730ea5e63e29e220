// "HOST:PORT" as --listen and --metrics-listen take it, and the "unix:PATH" of --listen.
#ifndef VIT_SERVER_NET_LISTEN_ADDRESS_H_
#define VIT_SERVER_NET_LISTEN_ADDRESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace vit {

struct ListenAddress {
  std::string host;    // a name or an address, without brackets
  int port = 0;        // 0: any free one
  std::string socket;  // path of a Unix socket, which has no host and port

  // "127.0.0.1:80", "[::1]:80", "unix:/run/vitd.sock".
  std::string ToString() const;
  // Whether only this machine can reach it.
  bool is_loopback() const;
};

// INVALID_ARGUMENT for anything but HOST:PORT with a port in 0..65535; an IPv6 address must be in
// brackets.
absl::StatusOr<ListenAddress> ParseListenAddress(const std::string& text);
// Also accepts "unix:" and an absolute path.
absl::StatusOr<ListenAddress> ParseListenAddressOrSocket(const std::string& text);

// Removes the socket of a server that is gone, so that `address` can be listened on.
// FAILED_PRECONDITION if a server listens on it, or if something else has its name.
absl::Status RemoveStaleSocket(const ListenAddress& address);

// Returns why `address` cannot be listened on now, for a server library that failed without saying
// why: FAILED_PRECONDITION if the port is taken, else the system's error.
absl::Status ExplainListenFailure(const ListenAddress& address);

}  // namespace vit

#endif  // VIT_SERVER_NET_LISTEN_ADDRESS_H_
