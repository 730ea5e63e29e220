#include "core/base/compute/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vit {
namespace {

using ::testing::HasSubstr;

TEST(DeviceTest, CpuIsAlwaysThere) {
  const auto device = Device::Parse("cpu");
  ASSERT_TRUE(device.ok());
  EXPECT_EQ(device->name(), "cpu");
  EXPECT_FALSE(device->model_name().empty());
  EXPECT_GT(device->memory().used_bytes, 1 << 20);
  EXPECT_GT(device->memory().total_bytes, device->memory().used_bytes);
  EXPECT_TRUE(Device::Parse("auto").ok());
}

TEST(DeviceTest, AnUnknownNameSaysWhatIsExpected) {
  for (const char* name : {"gpu", "cuda:", "cuda:x", "cuda:-1", ""}) {
    const auto device = Device::Parse(name);
    EXPECT_EQ(device.status().code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(device.status().message()),
                HasSubstr("expected auto, cpu, cuda or cuda:N"));
  }
}

TEST(DeviceTest, ADeviceThatIsNotThereIsAFailedPrecondition) {
  EXPECT_EQ(Device::Parse("cuda:4000").status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace vit
