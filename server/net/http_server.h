// HTTP/1.1, over IPv4 and IPv6.
#ifndef VIT_SERVER_NET_HTTP_SERVER_H_
#define VIT_SERVER_NET_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/net/listen_address.h"

namespace vit {

struct HttpRequest {
  std::string path;  // "/metrics", without the query
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Answers GET and HEAD until it is destroyed. A client that is slow to send its request, or to take
// the answer, is cut off; if `max_connections` are open, a new one replaces the one that has been
// idle for longest, so that no client can lock others out. Thread-safe.
class HttpServer {
 public:
  struct Options {
    int max_connections = 64;
    // For a request, from its first byte on, and for the client to take the answer.
    absl::Duration timeout = absl::Seconds(5);
    // Between two requests of a connection.
    absl::Duration idle_timeout = absl::Minutes(5);
  };
  // Called on the server's thread, one request at a time. An exception is answered with 500.
  using Handler = std::function<HttpResponse(const HttpRequest& request)>;

  // Listens on `address`, which must not be a Unix socket. FAILED_PRECONDITION if the port is
  // taken.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Create(const ListenAddress& address,
                                                            Handler handler,
                                                            const Options& options);
  static absl::StatusOr<std::unique_ptr<HttpServer>> Create(const ListenAddress& address,
                                                            Handler handler) {
    return Create(address, std::move(handler), Options());
  }
  // Closes every connection.
  ~HttpServer();

  // Returns the port it listens on, also if port 0 was requested.
  int port() const;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace vit

#endif  // VIT_SERVER_NET_HTTP_SERVER_H_
