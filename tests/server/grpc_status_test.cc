#include "server/net/grpc_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vit {
namespace {

TEST(GrpcStatusTest, CodesAndMessagesPassThrough) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  const std::vector<std::pair<absl::Status, grpc::StatusCode>> cases = {
      {absl::InvalidArgumentError("m"), grpc::StatusCode::INVALID_ARGUMENT},
      {absl::NotFoundError("m"), grpc::StatusCode::NOT_FOUND},
      {absl::AlreadyExistsError("m"), grpc::StatusCode::ALREADY_EXISTS},
      {absl::FailedPreconditionError("m"), grpc::StatusCode::FAILED_PRECONDITION},
      {absl::ResourceExhaustedError("m"), grpc::StatusCode::RESOURCE_EXHAUSTED},
      {absl::UnavailableError("m"), grpc::StatusCode::UNAVAILABLE},
      {absl::DeadlineExceededError("m"), grpc::StatusCode::DEADLINE_EXCEEDED},
      {absl::PermissionDeniedError("m"), grpc::StatusCode::PERMISSION_DENIED},
      {absl::UnauthenticatedError("m"), grpc::StatusCode::UNAUTHENTICATED},
      {absl::DataLossError("m"), grpc::StatusCode::DATA_LOSS},
      {absl::CancelledError("m"), grpc::StatusCode::CANCELLED},
      {absl::InternalError("m"), grpc::StatusCode::INTERNAL},
  };
  for (const auto& [status, code] : cases) {
    EXPECT_EQ(ToGrpcStatus(status).error_code(), code) << status;
    EXPECT_EQ(ToGrpcStatus(status).error_message(), "m");
  }
}

TEST(GrpcStatusTest, LongMessageIsCutAtACharactersEdge) {
  std::string text(1999, 'a');
  for (int i = 0; i < 1000; ++i) text += "\u00e9";
  const std::string message = ToGrpcStatus(absl::NotFoundError(text)).error_message();
  EXPECT_EQ(message, std::string(1999, 'a') + "...");
}

}  // namespace
}  // namespace vit
