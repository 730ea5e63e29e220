#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "tests/client/fake_vitd.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class EmbedExplainTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::path(::testing::TempDir()) /
                 ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::create_directories(directory_);
    for (int i = 0; i < 20; ++i) {
      files_.push_back((directory_ / absl::StrCat("p", i)).string());
      std::ofstream(files_.back()) << static_cast<char>(i);
    }
  }
  void TearDown() override { fs::remove_all(directory_); }

  // Two features of an image: its first byte, and half of that.
  static grpc::Status Embed(const v1::EmbedRequest& request, v1::EmbedResponse* response) {
    for (const std::string& image : request.images()) {
      auto* result = response->add_results();
      if (image == "bad") {
        result->set_code(3);
        result->set_error("no image");
        continue;
      }
      result->add_values(image[0]);
      result->add_values(image[0] / 2.0f);
    }
    response->set_tokens(1);
    response->set_features(2);
    response->mutable_model()->set_model("pets");
    response->mutable_model()->set_version(3);
    return grpc::Status::OK;
  }

  std::string Contents(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  fs::path directory_;
  std::vector<std::string> files_;
};

TEST_F(EmbedExplainTest, FeaturesBecomeANumpyFileInTheOrderOfTheImages) {
  FakeAnswers answers;
  answers.embed = Embed;
  FakeVitd vitd(answers);
  const std::string out = (directory_ / "features.npy").string();
  std::vector<std::string> args = {"embed", "-o", out};
  args.insert(args.end(), files_.begin(), files_.end());
  const Outcome outcome = Vitctl(vitd, args);
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("float32 20 x 2, by pets, version 3"));
  args.insert(args.begin(), {"-o", "json"});
  EXPECT_THAT(Vitctl(vitd, args).err, StartsWith("{\"note\":\"wrote "));
  const std::string npy = Contents(out);
  ASSERT_THAT(npy, StartsWith(std::string("\x93NUMPY\x01\x00", 8)));
  const size_t header = 10 + static_cast<uint8_t>(npy[8]) + 256 * static_cast<uint8_t>(npy[9]);
  EXPECT_EQ(header % 64, 0);
  EXPECT_THAT(npy.substr(10, header - 10),
              StartsWith("{'descr': '<f4', 'fortran_order': False, 'shape': (20, 2, )}"));
  ASSERT_EQ(npy.size(), header + 20 * 2 * sizeof(float));
  std::vector<float> values(40);
  std::memcpy(values.data(), npy.data() + header, 160);
  EXPECT_EQ(values[2 * 17], 17.0f);
  EXPECT_EQ(values[2 * 17 + 1], 8.5f);
}

TEST_F(EmbedExplainTest, AImageThatCannotBeReadFailsTheWhole) {
  FakeAnswers answers;
  answers.embed = Embed;
  FakeVitd vitd(answers);
  std::ofstream(files_[1]) << "bad";
  const std::string out = (directory_ / "features.npy").string();
  const Outcome outcome = Vitctl(vitd, {"embed", files_[0], files_[1], "--out", out});
  EXPECT_EQ(outcome.exit_code, kExitUsage);
  EXPECT_THAT(outcome.err, HasSubstr(files_[1] + ": no image"));
  EXPECT_FALSE(fs::exists(out));
  EXPECT_EQ(Vitctl(vitd, {"embed", (directory_ / "none").string()}).exit_code, kExitNotFound);
}

TEST_F(EmbedExplainTest, WithoutAFileTheNumbersArePrinted) {
  FakeAnswers answers;
  answers.embed = Embed;
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"embed", files_[4]});
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["results"][0]["values"][1], 2.0);
}

TEST_F(EmbedExplainTest, TheHeatMapIsWrittenAndTheClassIsNamed) {
  FakeAnswers answers;
  answers.explain = [](const v1::ExplainRequest& request, v1::ExplainResponse* response) {
    EXPECT_EQ(request.model(), "pets");
    EXPECT_TRUE(request.has_block());
    EXPECT_EQ(request.block(), 0);
    response->set_heat_map("a PNG");
    auto* best = response->add_classes();
    best->set_label("cat");
    best->set_probability(0.75);
    response->mutable_model()->set_model("pets");
    response->mutable_model()->set_version(3);
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const fs::path out = directory_ / "map.png";
  const Outcome outcome =
      Vitctl(vitd, {"explain", files_[0], "--model", "pets", "--block", "0", "-o", out.string()});
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_EQ(outcome.out, absl::StrCat("wrote ", out.string(), "\ncat 75.0%, by pets, version 3\n"));
  EXPECT_EQ(Contents(out), "a PNG");
  const Outcome unwritable =
      Vitctl(vitd, {"explain", files_[0], "--model", "pets", "--block", "0", "-o", "/none/x.png"});
  EXPECT_EQ(unwritable.exit_code, kExitFailure);
  EXPECT_THAT(unwritable.err, HasSubstr("cannot write /none/x.png"));
}

}  // namespace
}  // namespace vit
