#include "server/net/grpc_status.h"

#include <string>

namespace vit {

grpc::Status ToGrpcStatus(const absl::Status& status) {
  constexpr size_t kMaxBytes = 2000;
  if (status.ok()) return grpc::Status::OK;
  std::string message(status.message());
  if (message.size() > kMaxBytes) {
    size_t end = kMaxBytes;
    // Back to the first byte of a UTF-8 sequence.
    while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xc0) == 0x80) --end;
    message.resize(end);
    message += "...";
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message);
}

}  // namespace vit
