// Work on data sets through a whole daemon.
#include "server/services/data_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/daemon.h"
#include "tests/core/data/testing.h"
#include "tests/server/loopback_config.h"
#include "tests/server/testing.h"
#include "vit/v1/datasets.grpc.pb.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class DataServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_.path() / "data");
    config_.data_roots = {Path("data")};
    auto daemon = Daemon::Create(config_, &logger_);
    ASSERT_TRUE(daemon.ok()) << daemon.status();
    daemon_ = *std::move(daemon);
    stub_ = vit::v1::DataService::NewStub(Connect(daemon_->grpc_port()));
  }
  std::string Path(const std::string& name) const { return (folder_.path() / name).string(); }
  static vit::v1::PackDataRequest Request(const std::string& source, const std::string& path) {
    vit::v1::PackDataRequest request;
    request.mutable_data()->set_source(source);
    request.set_path(path);
    return request;
  }
  grpc::Status Pack(const vit::v1::PackDataRequest& request,
                    vit::v1::PackDataResponse* last = nullptr) {
    const auto context = NewContext();
    const auto reader = stub_->PackData(context.get(), request);
    vit::v1::PackDataResponse message;
    while (reader->Read(&message)) {
    }
    if (last != nullptr) *last = message;
    return reader->Finish();
  }

  TemporaryFolder folder_;
  ServerConfig config_ = LoopbackConfig(folder_.path());
  Logger logger_{LogFormat::kText, LogLevel::kError};
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<vit::v1::DataService::Stub> stub_;
};

TEST_F(DataServiceTest, ARunTrainsOnWhatWasPacked) {
  for (int i = 0; i < 40; ++i) {
    folder_.Write(absl::StrCat("data/pets/", i % 2 ? "cat/" : "dog/", i, ".png"),
                  Encode(SmoothImage(16, 16, i), ".png"));
  }
  vit::v1::PackDataResponse last;
  const grpc::Status packed =
      Pack(Request("folder:" + Path("data/pets"), Path("data/pets.vitpack")), &last);
  ASSERT_TRUE(packed.ok()) << packed.error_message();
  EXPECT_TRUE(last.done());
  EXPECT_EQ(last.samples(), 40);
  EXPECT_EQ(last.size_bytes(), static_cast<int64_t>(fs::file_size(Path("data/pets.vitpack"))));
  fs::remove_all(Path("data/pets"));
  Client client(daemon_->grpc_port());
  vit::v1::TrainingSpec spec = TinySpec(/*max_steps=*/4);
  spec.set_batch_size(8);
  spec.mutable_data()->Clear();
  spec.mutable_data()->set_source("packed:" + Path("data/pets.vitpack"));
  client.Start(spec);
  EXPECT_EQ(client.AwaitEnd().state(), vit::v1::RUN_STATE_SUCCEEDED);
  EXPECT_EQ(
      Pack(Request("packed:" + Path("data/pets.vitpack"), Path("data/pets.vitpack"))).error_code(),
      grpc::StatusCode::ALREADY_EXISTS);
}

TEST_F(DataServiceTest, PathsLieUnderTheDataRoots) {
  const auto refused = [&](const std::string& path, grpc::StatusCode code) {
    const grpc::Status status = Pack(Request("shapes:", path));
    EXPECT_EQ(status.error_code(), code) << path << ": " << status.error_message();
    return status.error_message();
  };
  refused(Path("outside.vitpack"), grpc::StatusCode::PERMISSION_DENIED);
  refused(Path("data/../outside.vitpack"), grpc::StatusCode::PERMISSION_DENIED);
  refused(Path("data/none/x.vitpack"), grpc::StatusCode::NOT_FOUND);
  refused("relative.vitpack", grpc::StatusCode::INVALID_ARGUMENT);
  refused(Path("data/"), grpc::StatusCode::INVALID_ARGUMENT);
  refused("", grpc::StatusCode::INVALID_ARGUMENT);
  fs::create_directory_symlink(folder_.path(), folder_.path() / "data/away");
  refused(Path("data/away/x.vitpack"), grpc::StatusCode::PERMISSION_DENIED);
  const grpc::Status outside = Pack(Request("folder:/etc", Path("data/x.vitpack")));
  EXPECT_EQ(outside.error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(DataServiceTest, FieldsThatDoNotCountAreRefused) {
  vit::v1::PackDataRequest request = Request("shapes:", Path("data/x.vitpack"));
  request.mutable_data()->set_folds(5);
  const grpc::Status status = Pack(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("only source and shapes apply here"));
}

TEST_F(DataServiceTest, ACancelledCallLeavesWhatTheNextOneGoesOnFrom) {
  vit::v1::PackDataRequest request = Request("shapes:", Path("data/x.vitpack"));
  request.mutable_data()->mutable_shapes()->set_train_size(200'000);
  {
    const auto context = NewContext();
    const auto reader = stub_->PackData(context.get(), request);
    vit::v1::PackDataResponse message;
    while (reader->Read(&message) && message.samples() < 5000) {
    }
    context->TryCancel();
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_FALSE(fs::exists(Path("data/x.vitpack")));
  const auto context = NewContext();
  const auto reader = stub_->PackData(context.get(), request);
  vit::v1::PackDataResponse message;
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_GE(message.resumed_from(), 4096);
  context->TryCancel();
  (void)reader->Finish();
}

TEST_F(DataServiceTest, InspectsWhatARunWouldSee) {
  for (int i = 0; i < 20; ++i) {
    folder_.Write(absl::StrCat("data/pets/", i % 2 ? "cat/" : "dog/", i, ".png"),
                  Encode(SmoothImage(16, 16, i), ".png"));
  }
  folder_.Write("data/pets/cat/bad.png", "no image");
  const auto inspect = [&](const vit::v1::InspectDataRequest& request,
                           vit::v1::InspectDataResponse* last) {
    const auto context = NewContext();
    const auto reader = stub_->InspectData(context.get(), request);
    while (reader->Read(last)) {
    }
    return reader->Finish();
  };
  vit::v1::InspectDataRequest request;
  request.mutable_data()->set_source("folder:" + Path("data/pets"));
  request.mutable_data()->set_validation_fraction(0.2);
  vit::v1::InspectDataResponse last;
  const grpc::Status inspected = inspect(request, &last);
  ASSERT_TRUE(inspected.ok()) << inspected.error_message();
  EXPECT_EQ(last.report().train_samples(), 17);
  EXPECT_EQ(last.report().validation_samples(), 4);
  EXPECT_EQ(last.report().unreadable_count(), 1);
  EXPECT_EQ(last.report().smallest().width(), 16);
  request.mutable_data()->set_validation_fraction(2);
  EXPECT_THAT(inspect(request, &last).error_message(), HasSubstr("data.validation_fraction is 2"));
}

TEST_F(DataServiceTest, ShutdownStopsPacking) {
  vit::v1::PackDataRequest request = Request("shapes:", Path("data/x.vitpack"));
  request.mutable_data()->mutable_shapes()->set_train_size(10'000'000);
  const auto context = NewContext();
  const auto reader = stub_->PackData(context.get(), request);
  vit::v1::PackDataResponse message;
  ASSERT_TRUE(reader->Read(&message));
  daemon_->Shutdown(absl::Now() + absl::Seconds(60));
  while (reader->Read(&message)) {
  }
  EXPECT_FALSE(reader->Finish().ok());
  EXPECT_TRUE(fs::exists(Path("data/x.vitpack.partial")));
}

}  // namespace
}  // namespace vit
