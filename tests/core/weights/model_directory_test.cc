#include "core/weights/model_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "core/model/model_config.h"
#include "core/spec/defaults.h"

namespace vit {
namespace {

namespace fs = std::filesystem;

class ModelDirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::path(::testing::TempDir()) /
                 ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::create_directories(directory_);
    description_.model.set_image_size(32);
    description_.model.set_patch_size(4);
    description_.model.set_embed_dim(96);
    description_.model.set_num_heads(3);
    description_.model.set_global_pool(vit::v1::GLOBAL_POOL_AVG);
    FillModelDefaults(2, &description_.model);
    for (int i = 0; i < 3; ++i) {
      description_.preprocessing.add_mean(0.4 + i);
      description_.preprocessing.add_std(0.2);
    }
    description_.preprocessing.set_interpolation(vit::v1::INTERPOLATION_BILINEAR);
    description_.preprocessing.mutable_eval()->set_crop_pct(0.9);
    description_.preprocessing.set_apply_orientation(false);
    description_.preprocessing.set_source("folder:/private/place");
    description_.precision = vit::v1::PRECISION_BFLOAT16;
    description_.labels = {"alpha cat", "b"};
  }
  void TearDown() override { fs::remove_all(directory_); }
  fs::path directory_;
  ModelDescription description_;
};

TEST_F(ModelDirectoryTest, ComesBackAsItWas) {
  ASSERT_TRUE(WriteModelDescription(directory_, description_).ok());
  const auto read = ReadModelDescription(directory_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->model.SerializeAsString(), description_.model.SerializeAsString());
  EXPECT_EQ(read->preprocessing.mean(1), 1.4);
  EXPECT_EQ(read->preprocessing.interpolation(), vit::v1::INTERPOLATION_BILINEAR);
  EXPECT_EQ(read->preprocessing.eval().crop_pct(), 0.9);
  EXPECT_FALSE(read->preprocessing.apply_orientation());
  EXPECT_EQ(read->precision, vit::v1::PRECISION_BFLOAT16);
  EXPECT_EQ(read->labels, description_.labels);
}

TEST_F(ModelDirectoryTest, ConfigNamesTheArchitectureForTimmAndNoPlaceOfTheData) {
  ASSERT_TRUE(WriteModelDescription(directory_, description_).ok());
  const std::string text = *ReadFile(directory_ / "config.json", 1 << 20);
  const auto config = nlohmann::json::parse(text);
  EXPECT_EQ(config["model_args"]["embed_dim"], 96);
  EXPECT_EQ(config["model_args"]["global_pool"], "avg");
  EXPECT_EQ(config["pretrained_cfg"]["interpolation"], "bilinear");
  EXPECT_EQ(config["label_names"][0], "alpha cat");
  EXPECT_EQ(text.find("private"), std::string::npos);
}

TEST_F(ModelDirectoryTest, DamageIsNamed) {
  EXPECT_EQ(ReadModelDescription(directory_).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteModelDescription(directory_, description_).ok());
  std::ofstream(directory_ / "labels.txt") << "one\n";
  const absl::Status labels = ReadModelDescription(directory_).status();
  EXPECT_EQ(labels.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(labels.message().find("labels.txt"), absl::string_view::npos);
  std::ofstream(directory_ / "config.json") << "{}";
  EXPECT_EQ(ReadModelDescription(directory_).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace vit
