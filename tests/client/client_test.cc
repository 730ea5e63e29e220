#include "client/lib/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>

#include "client/lib/transport_error.h"
#include "tests/client/fake_vitd.h"

namespace vit {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<VitClient> ClientOf(const std::string& address,
                                    absl::Duration timeout = absl::Seconds(20)) {
  VitClient::Options options;
  options.server = address;
  options.timeout = timeout;
  return *VitClient::Create(options);
}

// An address where nothing listens.
std::string DeadAddress() { return FakeVitd({}).address(); }

TEST(VitClientTest, StartTrainingIsRetriedWithTheSameRequestId) {
  std::mutex mu;
  std::vector<std::string> ids;
  FakeAnswers answers;
  answers.start_training = [&](const v1::StartTrainingRequest& request,
                               v1::StartTrainingResponse* response) {
    std::lock_guard lock(mu);
    ids.push_back(request.request_id());
    if (ids.size() < 3) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining");
    response->mutable_run()->set_id("1");
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const auto response = ClientOf(vitd.address())->StartTraining({});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->run().id(), "1");
  ASSERT_EQ(ids.size(), 3u);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 1u);
  EXPECT_EQ(ids[0].size(), 36u);
}

// gRPC does this to calls that arrive while a server shuts down.
TEST(VitClientTest, CallThatTheServerCancelsIsALostConnection) {
  std::atomic<int> calls = 0;
  FakeAnswers answers;
  answers.start_training = [&](const auto&, v1::StartTrainingResponse* response) {
    if (++calls == 1) return grpc::Status::CANCELLED;
    response->mutable_run()->set_id("1");
    return grpc::Status::OK;
  };
  answers.status = [](const auto&, auto*) { return grpc::Status::CANCELLED; };
  FakeVitd vitd(answers);
  const auto client = ClientOf(vitd.address());
  const auto started = client->StartTraining({});
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_EQ(started->run().id(), "1");
  EXPECT_EQ(client->Status({}).status().message(),
            "lost the connection to vitd at " + vitd.address());
}

TEST(VitClientTest, OtherErrorsAreNotRetried) {
  std::atomic<int> calls = 0;
  FakeAnswers answers;
  answers.start_training = [&](const auto&, auto*) {
    ++calls;
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "batch_size: must be above 0");
  };
  answers.classify = [&](const auto&, auto*) {
    ++calls;
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "run 1 has no checkpoint yet");
  };
  FakeVitd vitd(answers);
  const auto client = ClientOf(vitd.address());
  EXPECT_EQ(client->StartTraining({}).status(),
            absl::InvalidArgumentError("batch_size: must be above 0"));
  EXPECT_EQ(calls, 1);
  const absl::Status unavailable = client->Classify({}).status();
  EXPECT_EQ(unavailable, absl::UnavailableError("run 1 has no checkpoint yet"));
  EXPECT_FALSE(IsUnreachable(unavailable));
  EXPECT_EQ(calls, 2);
}

TEST(VitClientTest, RetriesEndWithTheDeadline) {
  FakeAnswers answers;
  answers.start_training = [](const auto&, auto*) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining");
  };
  FakeVitd vitd(answers);
  const absl::Status status =
      ClientOf(vitd.address(), absl::Milliseconds(400))->StartTraining({}).status();
  EXPECT_TRUE(absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) << status;
}

TEST(VitClientTest, UnreachableServerIsNamedInWords) {
  const std::string address = DeadAddress();
  const absl::Status status = ClientOf(address)->Status({}).status();
  EXPECT_EQ(status.message(), "cannot reach vitd at " + address + ": connection refused");
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_TRUE(IsUnreachable(status));
}

TEST(VitClientTest, SilentServerIsADeadline) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  FakeAnswers answers;
  answers.status = [released](const auto&, auto*) {
    released.wait();
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const absl::Status status =
      ClientOf(vitd.address(), absl::Milliseconds(200))->Status({}).status();
  release.set_value();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status));
  EXPECT_EQ(status.message(), "no answer from vitd at " + vitd.address() + " within 200ms");
}

TEST(VitClientTest, ClassifyCanBeCancelled) {
  std::stop_source stop;
  std::promise<void> release;
  FakeAnswers answers;
  answers.classify = [&, released = release.get_future().share()](const auto&, auto*) {
    stop.request_stop();
    released.wait();
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const auto client = VitClient::Create({.server = vitd.address()});
  ASSERT_TRUE(client.ok());
  // Once while it waits for the answer, once before it is sent.
  for (int i = 0; i < 2; ++i) {
    const auto response = (*client)->Classify({}, stop.get_token());
    EXPECT_EQ(response.status(), absl::CancelledError("the call was cancelled"));
  }
  release.set_value();
}

TEST(VitClientTest, MessagesPassFourMebibytes) {
  FakeAnswers answers;
  answers.classify = [](const v1::ClassifyRequest& request, v1::ClassifyResponse* response) {
    response->add_results()->set_error(request.images(0));
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  v1::ClassifyRequest request;
  request.add_images(std::string(20 << 20, 'x'));
  const auto response = ClientOf(vitd.address())->Classify(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->results(0).error().size(), size_t{20} << 20);
}

TEST(VitClientTest, WatchDeliversMessagesAndTheEnd) {
  FakeAnswers answers;
  answers.watch = [](const v1::WatchRequest& request, grpc::ServerContext*, const auto& write) {
    v1::WatchResponse response;
    response.mutable_run()->set_id(request.run());
    for (int step = 1; step <= 3; ++step) {
      response.mutable_run()->set_step(step);
      write(response);
    }
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "it went away");
  };
  FakeVitd vitd(answers);
  const auto client = ClientOf(vitd.address());
  v1::WatchRequest request;
  request.set_run("abc");
  const auto stream = client->Watch(request);
  v1::WatchResponse response;
  for (int step = 1; step <= 3; ++step) {
    ASSERT_EQ(stream->Next(absl::InfiniteFuture(), &response), WatchStream::Event::kUpdate);
    EXPECT_EQ(response.run().step(), step);
    EXPECT_EQ(response.run().id(), "abc");
  }
  EXPECT_EQ(stream->Next(absl::InfiniteFuture(), &response), WatchStream::Event::kEnd);
  EXPECT_EQ(stream->status(), absl::NotFoundError("it went away"));
}

TEST(VitClientTest, WatchCanBeCancelled) {
  FakeAnswers answers;
  std::promise<void> cancelled;
  answers.watch = [&](const auto&, grpc::ServerContext* context, const auto& write) {
    write({});
    // Writes until the client's cancellation arrives here.
    while (write({})) {
    }
    cancelled.set_value();
    return context->IsCancelled() ? grpc::Status::CANCELLED : grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const auto client = ClientOf(vitd.address());
  const auto stream = client->Watch({});
  v1::WatchResponse response;
  ASSERT_EQ(stream->Next(absl::InfiniteFuture(), &response), WatchStream::Event::kUpdate);
  stream->Cancel();
  while (stream->Next(absl::InfiniteFuture(), &response) != WatchStream::Event::kEnd) {
  }
  EXPECT_TRUE(absl::IsCancelled(stream->status()));
  EXPECT_EQ(cancelled.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
}

TEST(VitClientTest, WatchTimesOutWithoutEnding) {
  FakeAnswers answers;
  std::promise<void> go;
  std::shared_future<void> gone = go.get_future().share();
  answers.watch = [gone](const auto&, auto*, const auto& write) {
    gone.wait();
    write({});
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const auto client = ClientOf(vitd.address());
  const auto stream = client->Watch({});
  v1::WatchResponse response;
  EXPECT_EQ(stream->Next(absl::Now() + absl::Milliseconds(20), &response),
            WatchStream::Event::kTimeout);
  go.set_value();
  EXPECT_EQ(stream->Next(absl::InfiniteFuture(), &response), WatchStream::Event::kUpdate);
  EXPECT_EQ(stream->Next(absl::InfiniteFuture(), &response), WatchStream::Event::kEnd);
  EXPECT_TRUE(stream->status().ok());
}

TEST(VitClientTest, AddressesAreChecked) {
  for (const std::string server :
       {"", "host", "host:", "host:0", "host:99999", ":50051", "::1:50051", "unix:"}) {
    VitClient::Options options;
    options.server = server;
    EXPECT_TRUE(absl::IsInvalidArgument(VitClient::Create(options).status())) << server;
  }
  for (const std::string server :
       {"host:1", "10.0.0.1:50051", "[::1]:50051", "unix:/run/vitd.sock"}) {
    VitClient::Options options;
    options.server = server;
    EXPECT_TRUE(VitClient::Create(options).ok()) << server;
  }
}

TEST(VitClientTest, LoopbackIsKnown) {
  EXPECT_TRUE(IsLoopback("127.0.0.1:50051"));
  EXPECT_TRUE(IsLoopback("localhost:1"));
  EXPECT_TRUE(IsLoopback("[::1]:1"));
  EXPECT_TRUE(IsLoopback("unix:/run/vitd.sock"));
  EXPECT_FALSE(IsLoopback("gpu-box:50051"));
  EXPECT_FALSE(IsLoopback("10.127.0.1:50051"));
}

TEST(RequestIdTest, IsARandomUuid) {
  const std::string id = MakeRequestId();
  EXPECT_THAT(id, ::testing::MatchesRegex(
                      "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_NE(id, MakeRequestId());
}

TEST(TransportErrorTest, BrokenConnectionsAreToldFromTheServersWords) {
  const auto translate = [](const std::string& message) {
    return TranslateError(static_cast<int>(absl::StatusCode::kUnavailable), message, "box:1",
                          absl::Seconds(1));
  };
  EXPECT_EQ(translate("Socket closed").message(), "lost the connection to vitd at box:1");
  EXPECT_EQ(GetTransportFailure(translate("Socket closed")), TransportFailure::kLost);
  EXPECT_EQ(GetTransportFailure(translate("shutting down")), TransportFailure::kNone);
  const absl::Status no_name =
      translate("DNS resolution failed for box:1: C-ares status is not ARES_SUCCESS");
  EXPECT_EQ(no_name.message(), "cannot reach vitd at box:1: no such host name");
  EXPECT_EQ(GetTransportFailure(no_name), TransportFailure::kConnect);
  EXPECT_THAT(
      std::string(translate("failed to connect to all addresses; last error: Trying to connect an "
                            "http1.x server")
                      .message()),
      HasSubstr("does not speak gRPC"));
}

}  // namespace
}  // namespace vit
