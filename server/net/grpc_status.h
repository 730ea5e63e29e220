// The one mapping from absl::Status to gRPC's.
#ifndef VIT_SERVER_NET_GRPC_STATUS_H_
#define VIT_SERVER_NET_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace vit {

// The codes are the same by number. A message longer than 2000 bytes is cut, at a character's edge:
// it travels in a trailer, percent-encoded, and a client answers trailers above 8 KiB with its own
// error.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace vit

#endif  // VIT_SERVER_NET_GRPC_STATUS_H_
