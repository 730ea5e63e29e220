#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/fake_vitd.h"

namespace vit {
namespace {

using ::testing::HasSubstr;

class PackDataCommandTest : public ::testing::Test {
 protected:
  PackDataCommandTest() {
    answers_.pack_data = [this](const v1::PackDataRequest& request, auto* messages) {
      request_ = request;
      *messages = messages_;
      return status_;
    };
    messages_.resize(2);
    messages_[0].set_samples(256);
    messages_[0].set_total_samples(1500);
    messages_[1].set_samples(1500);
    messages_[1].set_total_samples(1500);
    messages_[1].set_size_bytes(3 << 20);
    messages_[1].set_done(true);
  }
  Outcome Run(std::vector<std::string> args, Terminal terminal = Pipe()) {
    FakeVitd vitd(answers_);
    args.insert(args.begin(), {"pack-data", "folder:/data/pets", "-o", "/data/pets.vitpack"});
    return Vitctl(vitd, args, terminal);
  }

  FakeAnswers answers_;
  v1::PackDataRequest request_;
  std::vector<v1::PackDataResponse> messages_;
  grpc::Status status_;
};

TEST_F(PackDataCommandTest, SaysWhatWasPacked) {
  const Outcome outcome = Run({});
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("packed 1,500 images into /data/pets.vitpack: 3.0 MiB\n"));
  EXPECT_THAT(outcome.out, HasSubstr("start-run --data packed:/data/pets.vitpack\n"));
  EXPECT_EQ(request_.data().source(), "folder:/data/pets");
  EXPECT_EQ(request_.path(), "/data/pets.vitpack");
  EXPECT_FALSE(request_.has_max_side());
  EXPECT_FALSE(request_.has_jpeg_quality());
  EXPECT_EQ(outcome.err, "");
}

TEST_F(PackDataCommandTest, NamesUnreadableImagesAndAnEarlierAttempt) {
  messages_[1].set_unreadable(2);
  messages_[1].add_first_unreadable("/data/pets/\x1B[2J.jpg (truncated)");
  messages_[1].set_resumed_from(1200);
  const Outcome outcome = Run({"--max-side", "512", "--quality", "90"});
  EXPECT_THAT(outcome.out,
              HasSubstr("continued from 1,200 images that an earlier attempt had packed\n"));
  EXPECT_THAT(outcome.out, HasSubstr("2 could not be read:\n  /data/pets/"));
  EXPECT_EQ(outcome.out.find('\x1B'), std::string::npos);
  EXPECT_EQ(request_.max_side(), 512);
  EXPECT_EQ(request_.jpeg_quality(), 90);
}

TEST_F(PackDataCommandTest, AnErrorIsTheDaemons) {
  messages_.clear();
  status_ = grpc::Status(grpc::StatusCode::ALREADY_EXISTS, "/data/pets.vitpack exists");
  const Outcome outcome = Run({});
  EXPECT_NE(outcome.exit_code, kExitOk);
  EXPECT_THAT(outcome.err, HasSubstr("/data/pets.vitpack exists"));
  EXPECT_EQ(outcome.out, "");
}

TEST_F(PackDataCommandTest, JsonIsTheLastMessage) {
  const Outcome outcome = Run({"--output", "json"});
  EXPECT_THAT(outcome.out, HasSubstr("\"done\": true"));
}

}  // namespace
}  // namespace vit
