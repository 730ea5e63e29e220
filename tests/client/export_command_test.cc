#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/client/fake_vitd.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ExportCommandTest : public ::testing::Test {
 protected:
  ExportCommandTest() {
    fs::remove_all(directory_);
    fs::create_directories(directory_);
    answers_.export_model = [this](const v1::ExportModelRequest& request, auto* pieces) {
      EXPECT_EQ(request.model(), "pets");
      EXPECT_EQ(request.format(), v1::EXPORT_FORMAT_ONNX);
      *pieces = pieces_;
      return status_;
    };
    Add("config.json", "{}").mutable_model()->set_model("pets");
    pieces_[0].mutable_model()->set_version(2);
    Add("empty", "");
    Add("model.onnx", std::string("a\0b", 3));
    Add("model.onnx", "cd");
  }
  ~ExportCommandTest() override { fs::remove_all(directory_); }

  v1::ExportModelResponse& Add(const std::string& file, const std::string& data) {
    pieces_.emplace_back().set_file(file);
    pieces_.back().set_data(data);
    return pieces_.back();
  }
  Outcome Export(const std::string& out) {
    FakeVitd vitd(answers_);
    return Vitctl(vitd, {"export", "pets", "--format", "onnx", "-o", out});
  }
  static std::string Read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file) << path;
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const fs::path directory_ = fs::path(::testing::TempDir()) / "export_command_test";
  const std::string out_ = directory_ / "pets";
  FakeAnswers answers_;
  std::vector<v1::ExportModelResponse> pieces_;
  grpc::Status status_;
};

TEST_F(ExportCommandTest, PutsThePiecesTogether) {
  const Outcome outcome = Export(out_ + "/");
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_EQ(outcome.out, "exported pets, version 2 to " + out_ + "/: 7 B\n");
  EXPECT_EQ(Read(out_ + "/config.json"), "{}");
  EXPECT_EQ(Read(out_ + "/empty"), "");
  EXPECT_EQ(Read(out_ + "/model.onnx"), std::string("a\0bcd", 5));
  EXPECT_FALSE(fs::exists(out_ + ".tmp"));
}

TEST_F(ExportCommandTest, LeavesNothingOfAnExportThatFails) {
  status_ = grpc::Status(grpc::StatusCode::DATA_LOSS, "model.safetensors is damaged");
  const Outcome outcome = Export(out_);
  EXPECT_NE(outcome.exit_code, kExitOk);
  EXPECT_THAT(outcome.err, HasSubstr("model.safetensors is damaged"));
  EXPECT_TRUE(fs::is_empty(directory_));
}

TEST_F(ExportCommandTest, OverwritesNothing) {
  fs::create_directories(out_);
  std::ofstream(out_ + "/mine") << "kept";
  const Outcome outcome = Export(out_);
  EXPECT_NE(outcome.exit_code, kExitOk);
  EXPECT_THAT(outcome.err, HasSubstr("exists; name another folder with -o"));
  EXPECT_EQ(Read(out_ + "/mine"), "kept");
}

TEST_F(ExportCommandTest, AServerCannotWriteElsewhere) {
  for (const char* name : {"../evil", "/tmp/evil", "a/b", "..", ".", ""}) {
    pieces_.clear();
    Add(name, "x");
    const Outcome outcome = Export(out_);
    EXPECT_NE(outcome.exit_code, kExitOk) << name;
    EXPECT_TRUE(fs::is_empty(directory_)) << name;
  }
}

TEST_F(ExportCommandTest, NamesTheFormatsThatThereAre) {
  FakeVitd vitd(answers_);
  const Outcome outcome = Vitctl(vitd, {"export", "pets", "--format", "tflite"});
  EXPECT_EQ(outcome.exit_code, kExitUsage);
  EXPECT_THAT(outcome.err, HasSubstr("torchvision"));
}

}  // namespace
}  // namespace vit
