#include "core/tensor_file/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>

#include "core/base/compute/named_tensors.h"
#include "core/base/file.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class SafetensorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = fs::path(::testing::TempDir()) /
            (std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) +
             ".safetensors");
  }
  void TearDown() override { fs::remove(path_); }

  // A file with this header and `data_bytes` of zeros after it.
  void WriteRaw(const std::string& header, size_t data_bytes, uint64_t length) {
    std::ofstream file(path_, std::ios::binary);
    for (int i = 0; i < 8; ++i) file.put(static_cast<char>(length >> 8 * i));
    file << header << std::string(data_bytes, '\0');
  }
  void WriteRaw(const std::string& header, size_t data_bytes) {
    WriteRaw(header, data_bytes, header.size());
  }

  fs::path path_;
};

TEST_F(SafetensorsTest, EveryDtypeComesBackByteForByte) {
  NamedTensors tensors;
  for (at::ScalarType type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong,
                              at::kInt, at::kShort, at::kChar, at::kByte, at::kBool}) {
    tensors.emplace_back(toString(type), at::arange(6).view({2, 3}).to(type));
  }
  tensors.emplace_back("scalar", at::full({}, 2.5));
  tensors.emplace_back("empty", at::empty({0, 4}));
  tensors.emplace_back("strided", at::arange(6, at::kFloat).view({2, 3}).t());
  ASSERT_TRUE(WriteSafetensors(path_, tensors, {{"format", "pt"}}).ok());
  const auto read = ReadSafetensors(path_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->metadata.at("format"), "pt");
  ASSERT_EQ(read->tensors.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(read->tensors.at(name).scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(at::equal(read->tensors.at(name), tensor)) << name;
  }
}

TEST_F(SafetensorsTest, TheBytesAreAFunctionOfTheTensors) {
  const NamedTensors tensors = {{"b", at::ones({3})}, {"a", at::zeros({2})}};
  ASSERT_TRUE(WriteSafetensors(path_, tensors, {}).ok());
  const std::string first = *ReadFile(path_, 1 << 20);
  ASSERT_TRUE(WriteSafetensors(path_, tensors, {}).ok());
  EXPECT_EQ(first, *ReadFile(path_, 1 << 20));
}

TEST_F(SafetensorsTest, TensorsOutliveTheReadersResult) {
  ASSERT_TRUE(WriteSafetensors(path_, {{"a", at::arange(1000)}}, {}).ok());
  at::Tensor kept;
  {
    auto read = ReadSafetensors(path_);
    ASSERT_TRUE(read.ok());
    kept = read->tensors.at("a");
  }
  EXPECT_EQ(kept.sum().item<int64_t>(), 499'500);
}

TEST_F(SafetensorsTest, UnalignedValuesAreRead) {
  std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[1,5]},)"
                       R"("b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  WriteRaw(header, 5);
  const auto read = ReadSafetensors(path_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->tensors.at("a").item<float>(), 0);
}

TEST_F(SafetensorsTest, DeepNestingEndsAtItsFirstWrongLevel) {
  const std::string brackets(10'000'000, '[');  // NOLINT(bugprone-string-constructor): many
  WriteRaw(R"({"a":{"dtype":"F32","shape":)" + brackets, 0);
  const auto read = ReadSafetensors(path_);
  EXPECT_THAT(std::string(read.status().message()), HasSubstr("tensor 'a': expected dtype"));
}

TEST_F(SafetensorsTest, HeaderLengthsAreCheckedBeforeUse) {
  for (uint64_t length : {uint64_t{3}, uint64_t{1} << 40, uint64_t{1} << 63, ~uint64_t{0}}) {
    WriteRaw("{}", 0, length);
    EXPECT_EQ(ReadSafetensors(path_).status().code(), absl::StatusCode::kInvalidArgument) << length;
  }
  std::ofstream(path_) << "abc";
  EXPECT_EQ(ReadSafetensors(path_).status().code(), absl::StatusCode::kInvalidArgument);
  std::ofstream(path_, std::ios::trunc).flush();
  EXPECT_EQ(ReadSafetensors(path_).status().code(), absl::StatusCode::kInvalidArgument);
  fs::remove(path_);
  EXPECT_EQ(ReadSafetensors(path_).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace vit
