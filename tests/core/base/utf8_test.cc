#include "core/base/utf8.h"

#include <gtest/gtest.h>

namespace vit {
namespace {

TEST(IsPrintableUtf8Test, TakesTextInAnyScript) {
  for (const char* text :
       {"", "cat", "Käfer", "猫 と 犬", "\xf0\x9f\x90\x88", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsPrintableUtf8(text)) << text;
  }
}

TEST(IsPrintableUtf8Test, RefusesWhatIsNoTextOrNoPartOfALine) {
  for (const char* text :
       {"K\xe4"
        "fer",
        "\x80", "\xc3", "\xc3(", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xff", "two\nlines", "\x1b[2J", "\x7f", "\xc2\x85"}) {
    EXPECT_FALSE(IsPrintableUtf8(text)) << text;
  }
}

}  // namespace
}  // namespace vit
