#include "core/base/bounded_reader.h"

#include <gtest/gtest.h>

namespace vit {
namespace {

using std::string_literals::operator""s;

TEST(BoundedReaderTest, ReadsBothByteOrders) {
  const std::string bytes = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"s;
  BoundedReader reader(bytes);
  EXPECT_EQ(reader.U8(), 1);
  EXPECT_EQ(reader.U16Be(), 0x0203);
  EXPECT_EQ(reader.U16Le(), 0x0504);
  EXPECT_EQ(reader.U24Le(), 0x080706u);
  EXPECT_EQ(reader.U32Be(), 0x090a0b0cu);
  EXPECT_EQ(reader.remaining(), 3u);
  EXPECT_TRUE(reader.ok());
}

TEST(BoundedReaderTest, AReadPastTheEndFailsForGood) {
  BoundedReader reader("abc");
  EXPECT_EQ(reader.U32Le(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.U8(), 0);
  EXPECT_TRUE(reader.Bytes(1).empty());
}

TEST(BoundedReaderTest, AHugeCountDoesNotWrapAround) {
  BoundedReader reader("abcdef");
  reader.Skip(2);
  EXPECT_TRUE(reader.Bytes(static_cast<size_t>(-1)).empty());
  EXPECT_FALSE(reader.ok());
}

TEST(BoundedReaderTest, SeeksWithinTheBytesOnly) {
  BoundedReader reader("abcdef");
  reader.Seek(6);
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.remaining(), 0u);
  reader.Seek(7);
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace vit
