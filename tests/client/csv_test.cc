#include "client/vitctl/view/csv.h"

#include <gtest/gtest.h>

namespace vit {
namespace {

TEST(CsvTest, QuotesWhatNeedsIt) {
  EXPECT_EQ(CsvLine({"a", "", "b c"}), "a,,b c\n");
  EXPECT_EQ(CsvLine({"a,b", "say \"x\"", "two\nlines", "return\r"}),
            "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",\"return\r\"\n");
}

}  // namespace
}  // namespace vit
