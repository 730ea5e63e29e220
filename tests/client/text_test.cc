#include "client/vitctl/view/text.h"

#include <gtest/gtest.h>

#include <cmath>

#include "client/vitctl/view/table.h"
#include "client/vitctl/view/terminal.h"

namespace vit {
namespace {

TEST(TextTest, NumbersReadWell) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1234567), "1,234,567");
  EXPECT_EQ(FormatCount(-1000), "-1,000");
  EXPECT_EQ(FormatLarge(9999), "9,999");
  EXPECT_EQ(FormatLarge(5717416), "5.72 M");
  EXPECT_EQ(FormatLarge(86567656), "86.6 M");
  EXPECT_EQ(FormatLarge(632045800), "632 M");
  EXPECT_EQ(FormatLarge(999960), "1.00 M");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(int64_t{3} << 30), "3.0 GiB");
  EXPECT_EQ(FormatPercent(0.7143), "71.4%");
  EXPECT_EQ(FormatLoss(std::nan("")), "nan");
  EXPECT_EQ(FormatRate(8.2e-4), "8.2e-04");
  EXPECT_EQ(FormatEpoch(4), "4");
  EXPECT_EQ(FormatEpoch(4.31), "4.3");
  EXPECT_EQ(FormatEpoch(9.97), "10");
  EXPECT_EQ(FormatSpeed(3.14), "3.1");
  EXPECT_EQ(FormatSpeed(1204.4), "1,204");
}

TEST(TextTest, DurationsChangeUnitWithTheirSize) {
  EXPECT_EQ(FormatSeconds(absl::Milliseconds(250)), "250ms");
  EXPECT_EQ(FormatSeconds(absl::Seconds(9.5)), "9.5s");
  EXPECT_EQ(FormatSeconds(absl::Seconds(59)), "59s");
  EXPECT_EQ(FormatSeconds(absl::Seconds(248)), "4m 08s");
  EXPECT_EQ(FormatSeconds(absl::Minutes(62)), "1h 02m");
  EXPECT_EQ(FormatSeconds(absl::Hours(76)), "3d 04h");
  EXPECT_EQ(FormatSeconds(absl::Seconds(-3)), "0ms");
}

TEST(TextTest, TimeoutsTakeUnitsOrSeconds) {
  EXPECT_EQ(*ParseTimeout("1m30s"), absl::Seconds(90));
  EXPECT_EQ(*ParseTimeout("500ms"), absl::Milliseconds(500));
  EXPECT_EQ(*ParseTimeout("2.5"), absl::Seconds(2.5));
  EXPECT_FALSE(ParseTimeout("soon").ok());
  EXPECT_FALSE(ParseTimeout("0").ok());
  EXPECT_FALSE(ParseTimeout("-1s").ok());
  EXPECT_FALSE(ParseTimeout("").ok());
}

TEST(TerminalTest, WidthCountsColumnsNotBytes) {
  EXPECT_EQ(DisplayWidth("chat"), 4);
  EXPECT_EQ(DisplayWidth("café"), 4);
  EXPECT_EQ(DisplayWidth("cafe\u0301"), 4);
  EXPECT_EQ(DisplayWidth("猫"), 2);
  EXPECT_EQ(DisplayWidth("\xff\xfe"), 2);
}

TEST(TerminalTest, EllipsizeCutsBetweenCharacters) {
  EXPECT_EQ(Ellipsize("abcdef", 6, true), "abcdef");
  EXPECT_EQ(Ellipsize("abcdefg", 6, true), "abcde…");
  EXPECT_EQ(Ellipsize("abcdefg", 6, false), "abcde~");
  EXPECT_EQ(Ellipsize("猫猫猫", 4, true), "猫…");
  EXPECT_EQ(Ellipsize("abc", 0, true), "");
  EXPECT_EQ(EllipsizeStart("a/long/path/cat.jpg", 8, true), "…cat.jpg");
  EXPECT_EQ(EllipsizeStart("cat.jpg", 7, true), "cat.jpg");
  EXPECT_EQ(EllipsizeStart("猫猫猫", 4, false), "~猫");
}

TEST(TerminalTest, ControlCharactersAreShownNotSent) {
  EXPECT_EQ(Printable("a\x1b[2Jb\n"), "a\\x1b[2Jb\\n");
  EXPECT_EQ(Printable("猫"), "猫");
}

Table ThreeColumns() {
  Table table({{"NAME", Table::Align::kLeft, 0, 5},
               {"N", Table::Align::kRight},
               {"EXTRA", Table::Align::kLeft, 1}});
  table.AddRow({"a long name", "1", "x"});
  table.AddRow({"b", "200", ""});
  return table;
}

TEST(TableTest, AlignsWithoutTrailingBlanks) {
  EXPECT_EQ(ThreeColumns().Render(0, false, true),
            "NAME           N  EXTRA\n"
            "a long name    1  x\n"
            "b            200\n");
}

TEST(TableTest, DropsColumnsThenShortensUntilItFits) {
  EXPECT_EQ(ThreeColumns().Render(20, false, true),
            "NAME           N\n"
            "a long name    1\n"
            "b            200\n");
  EXPECT_EQ(ThreeColumns().Render(12, false, true),
            "NAME       N\n"
            "a long…    1\n"
            "b        200\n");
}

TEST(TableTest, ColoursDoNotCountAsWidth) {
  Table table({{"A"}, {"B"}});
  table.AddRow({Table::Cell("x", Style::kRed), "y"});
  EXPECT_EQ(table.Render(0, true, true), "\x1b[1mA\x1b[0m  \x1b[1mB\x1b[0m\n\x1b[31mx\x1b[0m  y\n");
}

}  // namespace
}  // namespace vit
