#include "core/base/status.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

namespace vit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(OverLimitErrorTest, IsToldFromRunningOutOfMemory) {
  const absl::Status over = Annotate(OverLimitError("70 bytes, over the limit of 64"), "cat.jpg");
  EXPECT_EQ(over.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(over.message(), "cat.jpg: 70 bytes, over the limit of 64");
  EXPECT_TRUE(IsOverLimit(over));
  EXPECT_FALSE(IsOverLimit(absl::ResourceExhaustedError("out of memory")));
  EXPECT_FALSE(IsOverLimit(absl::OkStatus()));
}

TEST(CatchExceptionsTest, PassesResultsThrough) {
  EXPECT_EQ(*CatchExceptions("x", [] { return absl::StatusOr<int>(3); }), 3);
  EXPECT_EQ(CatchExceptions("x", [] { return absl::NotFoundError("y"); }),
            absl::NotFoundError("y"));
}

TEST(CatchExceptionsTest, ALibTorchErrorIsInternalWithoutItsBacktrace) {
  const absl::Status status = CatchExceptions("add", []() -> absl::Status {
    at::ones({2}) + at::ones({3});
    return absl::OkStatus();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("add: The size of tensor a (2)"));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("frame #")));
}

TEST(CatchExceptionsTest, RunningOutOfMemoryIsResourceExhausted) {
  const absl::Status torch = CatchExceptions("allocate", []() -> absl::Status {
    at::empty({int64_t{1} << 50}, at::kFloat);
    return absl::OkStatus();
  });
  EXPECT_EQ(torch.code(), absl::StatusCode::kResourceExhausted) << torch;
  const absl::Status standard =
      CatchExceptions("allocate", []() -> absl::Status { throw std::bad_alloc(); });
  EXPECT_EQ(standard.code(), absl::StatusCode::kResourceExhausted);
}

TEST(CatchExceptionsTest, TheDevicesMemoryIsToldFromTheHosts) {
  const auto thrown = [](const auto& exception) {
    return CatchExceptions("step", [&]() -> absl::Status { throw exception; });
  };
  EXPECT_TRUE(IsOutOfDeviceMemory(thrown(c10::OutOfMemoryError({"", "", 0}, "2 GiB"))));
  EXPECT_TRUE(IsOutOfDeviceMemory(thrown(c10::Error(
      {"", "", 0}, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"))));
  EXPECT_FALSE(IsOutOfDeviceMemory(thrown(std::bad_alloc())));
  EXPECT_FALSE(IsOutOfDeviceMemory(
      thrown(c10::Error({"", "", 0}, "DefaultCPUAllocator: can't allocate memory"))));
}

TEST(CatchExceptionsTest, NothingGetsThrough) {
  EXPECT_EQ(CatchExceptions("x", []() -> absl::Status { throw std::runtime_error("boom"); }),
            absl::InternalError("x: boom"));
  EXPECT_EQ(CatchExceptions("x", []() -> absl::Status { throw 3; }).code(),
            absl::StatusCode::kInternal);
}

TEST(AnnotateTest, PutsContextInFrontAndKeepsTheCode) {
  EXPECT_EQ(Annotate(absl::NotFoundError("b"), "a"), absl::NotFoundError("a: b"));
  EXPECT_TRUE(Annotate(absl::OkStatus(), "a").ok());
}

}  // namespace
}  // namespace vit
