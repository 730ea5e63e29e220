#include "server/net/listen_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace vit {
namespace {

TEST(ListenAddressTest, ReadsNamesAddressesAndBrackets) {
  EXPECT_EQ(ParseListenAddress("127.0.0.1:80")->host, "127.0.0.1");
  EXPECT_EQ(ParseListenAddress("127.0.0.1:80")->port, 80);
  EXPECT_EQ(ParseListenAddress("[::1]:0")->host, "::1");
  EXPECT_EQ(ParseListenAddress("[::1]:7")->ToString(), "[::1]:7");
  EXPECT_EQ(ParseListenAddress("gpu-box:7")->ToString(), "gpu-box:7");
  for (const char* bad : {"", ":80", "host", "host:", "host:x", "host:-1", "host:65536", "::1:80",
                          "[]:80", "a b:80", "unix:/tmp/socket", "127.0.0.1:80,0.0.0.0:80"}) {
    EXPECT_EQ(ParseListenAddress(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(ListenAddressTest, ReadsSocketsWhereTheyAreTaken) {
  const auto address = ParseListenAddressOrSocket("unix:/run/vitd.sock");
  ASSERT_TRUE(address.ok()) << address.status();
  EXPECT_EQ(address->socket, "/run/vitd.sock");
  EXPECT_EQ(address->ToString(), "unix:/run/vitd.sock");
  EXPECT_TRUE(address->is_loopback());
  EXPECT_EQ(ParseListenAddressOrSocket("127.0.0.1:80")->port, 80);
  for (const std::string& bad :
       {std::string("unix:"), std::string("unix:vitd.sock"), "unix:/" + std::string(107, 'x')}) {
    EXPECT_EQ(ParseListenAddressOrSocket(bad).status().code(), absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

TEST(ListenAddressTest, ExplainsASocketThatCannotBeMade) {
  const absl::Status status = ExplainListenFailure({.socket = "/no/such/folder/vitd.sock"});
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("unix:/no/such/folder/vitd.sock"));
}

TEST(ListenAddressTest, KnowsLoopback) {
  for (const char* text : {"127.0.0.1:1", "127.1.2.3:1", "localhost:1", "[::1]:1"}) {
    EXPECT_TRUE(ParseListenAddress(text)->is_loopback()) << text;
  }
  for (const char* text : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "gpu-box:1"}) {
    EXPECT_FALSE(ParseListenAddress(text)->is_loopback()) << text;
  }
}

TEST(ListenAddressTest, ExplainsATakenPort) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  socklen_t length = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  const absl::Status status = ExplainListenFailure({"127.0.0.1", ntohs(address.sin_port)});
  close(fd);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("another process"));
}

}  // namespace
}  // namespace vit
