// Compares the evaluation transform of real photographs with timm's. The images may not be part of
// the tree: without ../shared/data beside it, the test is skipped.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "core/data/image/image.h"
#include "core/data/image/transform.h"
#include "tests/core/data/testing.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Member `name` of a tar archive.
std::string FromTar(const std::string& tar, const std::string& name) {
  for (size_t at = 0; at + 512 <= tar.size() && tar[at] != '\0';) {
    const size_t size = std::stoul(tar.substr(at + 124, 11), nullptr, 8);
    if (tar.c_str() + at == name) return tar.substr(at + 512, size);
    at += 512 + (size + 511) / 512 * 512;
  }
  return "";
}

TEST(PhotographTest, EvaluationEqualsTimmsWithinTwoLevels) {
  const fs::path folder = fs::path(VIT_SOURCE_DIR) / "../shared/data";
  const fs::path reference = folder / "parity/preprocess.safetensors";
  const fs::path photographs = folder / "imagenet-samples.tar";
  if (!fs::exists(reference) || !fs::exists(photographs)) {
    GTEST_SKIP() << "no " << reference << " or " << photographs << " to compare with";
  }
  const std::string expected = ReadAll(reference);
  const std::string tar = ReadAll(photographs);
  uint64_t header_size = 0;
  memcpy(&header_size, expected.data(), 8);
  const auto header = nlohmann::json::parse(expected.substr(8, header_size));
  int compared = 0;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    SCOPED_TRACE(name);
    const auto image = DecodeImage(FromTar(tar, name), {.apply_orientation = false});
    ASSERT_TRUE(image.ok()) << image.status();
    constexpr int kSide = 224;
    std::vector<uint8_t> planes(3 * kSide * kSide);
    EvalTransformImage(*image, kSide, Crop(0.9), vit::v1::INTERPOLATION_BICUBIC,
                       absl::MakeSpan(planes));
    const size_t offset = 8 + header_size + entry["data_offsets"][0].get<size_t>();
    double most = 0;
    for (size_t i = 0; i < planes.size(); ++i) {
      float value = 0;
      memcpy(&value, &expected[offset + 4 * i], 4);
      most = std::max(most, std::fabs(planes[i] / 255.0 - (value * 0.5 + 0.5)));
    }
    RecordProperty("greatest_difference_" + std::to_string(compared), std::to_string(255 * most));
    EXPECT_LE(most, 2.01 / 255);
    ++compared;
  }
  EXPECT_EQ(compared, 6);
}

}  // namespace
}  // namespace vit
