#include "core/tensor_file/tensor_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <zlib.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/tensor_file/safetensors.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kData = fs::path(VIT_SOURCE_DIR) / "tests/data";
const fs::path kWeights = kData / "weights";

std::string DtypeName(at::ScalarType type) {
  static const std::map<at::ScalarType, std::string> kNames = {
      {at::kDouble, "float64"},    {at::kFloat, "float32"}, {at::kHalf, "float16"},
      {at::kBFloat16, "bfloat16"}, {at::kLong, "int64"},    {at::kInt, "int32"},
      {at::kShort, "int16"},       {at::kChar, "int8"},     {at::kByte, "uint8"},
      {at::kBool, "bool"}};
  return kNames.at(type);
}

// As in readings.json: what tests/data/make_weight_files.py records of a tensor.
nlohmann::json Reading(const at::Tensor& tensor) {
  const at::Tensor values = tensor.contiguous();
  const auto crc = crc32_z(0, static_cast<const Bytef*>(values.const_data_ptr()), values.nbytes());
  return {DtypeName(tensor.scalar_type()), tensor.sizes().vec(), crc};
}

nlohmann::json Readings() {
  std::ifstream file(kWeights / "readings.json");
  return nlohmann::json::parse(file);
}

TEST(TensorFileTest, EveryFormatIsReadAsItsOwnLibraryReadsIt) {
  const nlohmann::json readings = Readings();
  ASSERT_EQ(readings.size(), 19u);
  for (const auto& [path, expected] : readings.items()) {
    const auto file = ReadTensorFile(kData / path);
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(file->tensors.size(), expected.size()) << path;
    for (const auto& [name, tensor] : file->tensors) {
      ASSERT_TRUE(expected.contains(name)) << path << " " << name;
      EXPECT_EQ(Reading(tensor), expected[name]) << path << " " << name;
    }
  }
}

TEST(TensorFileTest, DictsWithinAFileStandInFrontOfTheirTensorsNames) {
  const auto sections = [](const std::string& name) {
    const auto file = ReadTensorFile(kData / name);
    EXPECT_TRUE(file.ok()) << file.status();
    return file.ok() ? file->sections : std::set<std::string>();
  };
  EXPECT_THAT(sections("weights/checkpoint.pth"), ElementsAre("model_ema.", "state_dict."));
  EXPECT_THAT(sections("weights/nested.pth"), ElementsAre("model.state_dict.", "model_ema."));
  EXPECT_THAT(sections("weights/averaged.pth"), ElementsAre("state_dict_ema."));
  EXPECT_THAT(sections("parity/torchvision/wrapped.pth"), ElementsAre("model."));
  EXPECT_THAT(sections("parity/torchvision/model.pth"), IsEmpty());
}

TEST(TensorFileTest, ViewsOfOneStorageShareItsBytes) {
  const auto file = ReadTensorFile(kWeights / "protocol_2.pt");
  ASSERT_TRUE(file.ok()) << file.status();
  const void* const whole = file->tensors.at("whole").const_data_ptr();
  EXPECT_EQ(file->tensors.at("transposed").const_data_ptr(), whole);
  EXPECT_EQ(file->tensors.at("tied").const_data_ptr(), whole);
  EXPECT_EQ(file->tensors.at("middle").const_data_ptr(), static_cast<const float*>(whole) + 5);
  EXPECT_FALSE(file->tensors.at("transposed").is_contiguous());
}

TEST(TensorFileTest, TensorsOutliveWhatReadThem) {
  for (const char* name : {"protocol_5.pt", "dtypes.npz", "dtypes_compressed.npz"}) {
    at::Tensor kept;
    {
      auto file = ReadTensorFile(kWeights / name);
      ASSERT_TRUE(file.ok()) << file.status();
      kept = file->tensors.begin()->second;
    }
    EXPECT_EQ(kept.sum().isnan().item<bool>(), false) << name;
  }
}

// Gives each test its own folder, removed at the end.
class TensorFileFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path Write(const std::string& name, absl::string_view content) {
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return folder_ / name;
  }
  std::string Message(const fs::path& path) {
    const absl::Status status = ReadTensorFile(path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path.string()));
    return std::string(status.message());
  }

  fs::path folder_;
};

TEST_F(TensorFileFolderTest, TheContentSaysWhatAFileIs) {
  int count = 0;
  for (const char* source : {"dtypes.npz", "protocol_2.pt", "dtypes.safetensors"}) {
    for (const char* name : {"a.bin", "a.npz", "a.json", "a"}) {
      fs::copy_file(kWeights / source, folder_ / name, fs::copy_options::overwrite_existing);
      EXPECT_TRUE(ReadTensorFile(folder_ / name).ok()) << source << " as " << name;
      ++count;
    }
  }
  EXPECT_EQ(count, 12);
}

TEST_F(TensorFileFolderTest, WhatIsNotReadIsNamedWithTheWayOut) {
  using std::string_literals::operator""s;
  EXPECT_THAT(Message(Write("empty", "")), HasSubstr("the file is empty"));
  EXPECT_THAT(Message(Write("text", "accuracy: 81.2\n")), HasSubstr("it is text"));
  EXPECT_THAT(Message(Write("binary", "\1\2\3\4")), HasSubstr("not a known format"));
  EXPECT_THAT(
      Message(Write("old.pth", "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80"s)),
      HasSubstr("before 1.6; load it in Python and save it again with torch.save"));
  EXPECT_THAT(Message(Write("a.pkl", "\x80\x04\x95\x02\0\0\0\0\0\0\0}."s)),
              HasSubstr("a pickle outside of an archive"));
  EXPECT_THAT(Message(Write("a.h5", "\x89HDF\r\n\x1a\n\0\0\0\0"s)), HasSubstr("HDF5"));
  EXPECT_THAT(Message(Write("a.gz", "\x1f\x8b\x08\0\0\0\0\0"s)), HasSubstr("gzip; unpack it"));
  EXPECT_THAT(Message(Write("a.npy", "\x93NUMPY\1\0"s)), HasSubstr("a single NumPy array"));
  EXPECT_THAT(Message(Write("lfs", "version https://git-lfs.github.com/spec/v1\n")),
              HasSubstr("git lfs pull"));
  EXPECT_THAT(Message(folder_), HasSubstr("not a regular file"));
  EXPECT_EQ(ReadTensorFile(folder_ / "none").status().code(), absl::StatusCode::kNotFound);
}

class ShardsTest : public TensorFileFolderTest {
 protected:
  void SetUp() override {
    TensorFileFolderTest::SetUp();
    ASSERT_TRUE(WriteSafetensors(folder_ / "1.st", {{"a", at::ones({2})}}, {}).ok());
    ASSERT_TRUE(WriteSafetensors(folder_ / "2.st", {{"b", at::ones({3})}}, {{"k", "v"}}).ok());
  }
  fs::path Index(const std::string& weight_map) {
    return Write("index.json", R"({"metadata":{"total_size":1},"weight_map":)" + weight_map + "}");
  }
};

TEST_F(ShardsTest, AllShardsTogetherAreTheModel) {
  const auto file = ReadTensorFile(Index(R"({"a":"1.st","b":"2.st"})"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->tensors.size(), 2u);
  EXPECT_EQ(file->metadata.at("k"), "v");
}

TEST_F(ShardsTest, AMissingShardIsNamed) {
  const auto file = ReadTensorFile(Index(R"({"a":"1.st","b":"4.st"})"));
  EXPECT_EQ(file.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(file.status().message()), HasSubstr("4.st"));
}

TEST_F(ShardsTest, IndexAndShardsHoldTheSameTensors) {
  EXPECT_THAT(Message(Index(R"({"a":"1.st","c":"2.st"})")), HasSubstr("lacks tensor 'c'"));
  EXPECT_THAT(Message(Index(R"({"a":"1.st","b":"1.st"})")), HasSubstr("lacks tensor 'b'"));
  ASSERT_TRUE(
      WriteSafetensors(folder_ / "1.st", {{"a", at::ones({2})}, {"z", at::ones({2})}}, {}).ok());
  EXPECT_THAT(Message(Index(R"({"a":"1.st","b":"2.st"})")),
              HasSubstr("holds tensor 'z', which is not in the index"));
}

TEST_F(ShardsTest, ShardsStayInTheFolderOfTheirIndex) {
  EXPECT_THAT(Message(Index(R"({"c":"other/3.st"})")), HasSubstr("not the plain name of a file"));
  EXPECT_THAT(Message(Index(R"({"c":".."})")), HasSubstr("not the plain name of a file"));
  fs::create_symlink(kWeights / "model-00001-of-00002.safetensors", folder_ / "3.st");
  const absl::Status outside = ReadTensorFile(Index(R"({"a":"3.st","b":"3.st"})")).status();
  EXPECT_EQ(outside.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(outside.message()), HasSubstr("a link that leads out of its folder"));
  fs::create_symlink("1.st", folder_ / "5.st");
  EXPECT_TRUE(ReadTensorFile(Index(R"({"a":"5.st"})")).ok());
}

// As huggingface_hub stores what it downloads.
TEST_F(ShardsTest, LinksLeadToWhatIsUnderADataRoot) {
  fs::create_symlink(kWeights / "model-00001-of-00002.safetensors", folder_ / "3.st");
  const fs::path index = Index(R"({"a":"3.st","b":"3.st"})");
  const std::vector<std::string> roots = {folder_.string(), kWeights.string()};
  EXPECT_TRUE(ReadTensorFile(index, roots).ok()) << ReadTensorFile(index, roots).status();
  const std::vector<std::string> elsewhere = {folder_.string(), (folder_ / "none").string()};
  EXPECT_EQ(ReadTensorFile(index, elsewhere).status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(ShardsTest, AnIndexIsNoShard) {
  EXPECT_THAT(Message(Index(R"({"a":"index.json"})")), HasSubstr("it is text, not weights"));
}

}  // namespace
}  // namespace vit
