// Errors of the connection to the server, in words for people.
#ifndef VIT_CLIENT_LIB_TRANSPORT_ERROR_H_
#define VIT_CLIENT_LIB_TRANSPORT_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace vit {

// How the connection of a call failed; the status from TranslateError carries it.
enum class TransportFailure {
  kNone,     // the server answered
  kConnect,  // no connection could be made: nothing was sent
  kLost,     // the connection broke during the call
};

// gRPC reports failures of the connection in its own words ("failed to connect to all addresses;
// last error: ..."). Turns `code` and `message` of a finished call into a status whose message
// names `server` and the reason; what the server itself said stays as it is. `timeout`: the
// deadline the call had.
absl::Status TranslateError(int code, const std::string& message, const std::string& server,
                            absl::Duration timeout);

TransportFailure GetTransportFailure(const absl::Status& status);

}  // namespace vit

#endif  // VIT_CLIENT_LIB_TRANSPORT_ERROR_H_
