// "HOST:PORT" as --listen and --metrics-listen take it.
#ifndef VIT_SERVER_LISTEN_ADDRESS_H_
#define VIT_SERVER_LISTEN_ADDRESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace vit {

struct ListenAddress {
  std::string host;  // a name or an address, without brackets
  int port = 0;      // 0: any free one

  // "127.0.0.1:80", "[::1]:80".
  std::string ToString() const;
  // Whether only this machine can reach it.
  bool is_loopback() const;
};

// INVALID_ARGUMENT for anything but HOST:PORT with a port in 0..65535; an IPv6 address stands in
// brackets.
absl::StatusOr<ListenAddress> ParseListenAddress(const std::string& text);

// Why nobody can listen on `address` at this moment, for a server library that failed to and does
// not say why: FAILED_PRECONDITION where the port is taken, else what the system says.
absl::Status ExplainListenFailure(const ListenAddress& address);

}  // namespace vit

#endif  // VIT_SERVER_LISTEN_ADDRESS_H_
