#include "server/net/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "absl/strings/str_cat.h"

namespace vit {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A client's connection, as bytes.
class Client {
 public:
  Client(const std::string& host, int port) {
    addrinfo hints = {};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    EXPECT_EQ(getaddrinfo(host.c_str(), absl::StrCat(port).c_str(), &hints, &found), 0);
    fd_ = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(fd_, found->ai_addr, found->ai_addrlen), 0);
    freeaddrinfo(found);
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;

  void Send(const std::string& bytes) {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Reads until the server closes or `end` arrives.
  std::string Receive(const std::string& end = "\n\n\n") {
    std::string all;
    char buffer[4096];
    while (all.size() < end.size() || all.compare(all.size() - end.size(), end.size(), end) != 0) {
      const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
      if (n <= 0) break;
      all.append(buffer, n);
    }
    return all;
  }
  std::string Ask(const std::string& bytes, const std::string& end = "\n\n\n") {
    Send(bytes);
    return Receive(end);
  }

 private:
  int fd_ = -1;
};

std::unique_ptr<HttpServer> Serve(const std::string& host, const HttpServer::Options& options) {
  auto server = HttpServer::Create(
      {.host = host},
      [](const HttpRequest& request) {
        if (request.path == "/throws") throw std::runtime_error("no");
        return HttpResponse{.body = request.path + " it is"};
      },
      options);
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

TEST(HttpServerTest, AnswersOverIPv4AndIPv6) {
  for (const char* host : {"127.0.0.1", "::1", "localhost"}) {
    const auto server = Serve(host, {});
    Client client(host, server->port());
    const std::string answer =
        client.Ask("GET /a?b=c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n")) << host;
    EXPECT_THAT(answer, EndsWith("\r\n\r\n/a it is")) << host;
  }
}

TEST(HttpServerTest, AllAddressesOfBothKinds) {
  const auto server = Serve("::", {});
  for (const char* host : {"127.0.0.1", "::1"}) {
    Client client(host, server->port());
    EXPECT_THAT(client.Ask("GET / HTTP/1.0\r\n\r\n"), EndsWith("/ it is")) << host;
  }
}

TEST(HttpServerTest, APortThatIsTakenIsSaidSo) {
  const auto server = Serve("::1", {});
  const auto second = HttpServer::Create({.host = "::1", .port = server->port()},
                                         [](const HttpRequest&) { return HttpResponse(); });
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another process"));
}

TEST(HttpServerTest, AConnectionServesManyRequests) {
  const auto server = Serve("127.0.0.1", {});
  Client client("127.0.0.1", server->port());
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(client.Ask(absl::StrCat("GET /", i, " HTTP/1.1\r\nHost: x\r\n\r\n"), " it is"),
                EndsWith(absl::StrCat("/", i, " it is")));
  }
  // Two at once.
  EXPECT_THAT(client.Ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n",
                         "/b it is"),
              HasSubstr("/a it is"));
}

TEST(HttpServerTest, HeadHasTheLengthAndNoBody) {
  const auto server = Serve("127.0.0.1", {});
  Client client("127.0.0.1", server->port());
  const std::string answer = client.Ask("HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Content-Length: 8\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
}

TEST(HttpServerTest, WhatItDoesNotServeIsSaid) {
  const auto server = Serve("127.0.0.1", {});
  const auto status = [&](const std::string& bytes) {
    Client client("127.0.0.1", server->port());
    return client.Ask(bytes).substr(0, 12);
  };
  EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "HTTP/1.1 405");
  EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123456789"),
            "HTTP/1.1 400");
  EXPECT_EQ(status("nonsense\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(status("GET / HTTP/1.1\r\nA: " + std::string(17000, 'a') + "\r\n\r\n"), "HTTP/1.1 431");
  EXPECT_EQ(status("GET /throws HTTP/1.1\r\nConnection: close\r\n\r\n"), "HTTP/1.1 500");
}

TEST(HttpServerTest, ASlowClientIsCutOff) {
  const auto server = Serve("127.0.0.1", {.timeout = absl::Milliseconds(50)});
  Client silent("127.0.0.1", server->port()), slow("127.0.0.1", server->port());
  slow.Send("GET / HT");
  EXPECT_EQ(silent.Receive(), "");
  EXPECT_EQ(slow.Receive(), "");
}

TEST(HttpServerTest, NobodyCanLockOthersOut) {
  const auto server = Serve("127.0.0.1", {.max_connections = 4, .timeout = absl::Minutes(5)});
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < 8; ++i) {
    idle.push_back(std::make_unique<Client>("127.0.0.1", server->port()));
    idle.back()->Send("GET / HT");
  }
  Client client("127.0.0.1", server->port());
  EXPECT_THAT(client.Ask("GET /a HTTP/1.0\r\n\r\n"), EndsWith("/a it is"));
  EXPECT_EQ(idle.front()->Receive(), "");  // it gave up its place
}

TEST(HttpServerTest, EndsWithConnectionsOpen) {
  auto server = Serve("127.0.0.1", {});
  Client idle("127.0.0.1", server->port()), served("127.0.0.1", server->port());
  served.Ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "it is");
  server.reset();
  EXPECT_EQ(idle.Receive(), "");
  EXPECT_EQ(served.Receive(), "");
}

}  // namespace
}  // namespace vit
