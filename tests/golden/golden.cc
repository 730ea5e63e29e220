#include "tests/golden/golden.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace vit {

void ExpectGolden(const std::string& name, const std::string& text) {
  const std::filesystem::path path =
      std::filesystem::path(VIT_SOURCE_DIR) / "tests/data/golden" / name;
  if (std::getenv("VIT_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << text;
    return;
  }
  std::ifstream file(path);
  ASSERT_TRUE(file.good()) << "no " << path;
  std::istringstream actual(text);
  int line_number = 0;
  for (std::string expected_line, line;;) {
    const bool expected_more = static_cast<bool>(std::getline(file, expected_line));
    const bool more = static_cast<bool>(std::getline(actual, line));
    if (!expected_more && !more) return;
    ++line_number;
    ASSERT_TRUE(expected_more && more && line == expected_line)
        << path << ":" << line_number << " is\n  " << (expected_more ? expected_line : "(the end)")
        << "\nbut the program gives\n  " << (more ? line : "(the end)")
        << "\nIf the change is intended, run the test with VIT_UPDATE_GOLDEN=1.";
  }
}

}  // namespace vit
