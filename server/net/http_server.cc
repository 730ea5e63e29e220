#include "server/net/http_server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <list>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/compute/compute_budget.h"

namespace vit {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr uint32_t kMaxHeaderBytes = 16 << 10;
const boost::system::error_category& kHttpErrors =
    http::make_error_code(http::error::bad_method).category();

}  // namespace

// Everything happens on one thread, that of the io_context.
class HttpServer::Impl {
 public:
  Impl(Handler handler, const Options& options)
      : handler_(std::move(handler)), options_(options), acceptor_(io_), retry_(io_) {}

  ~Impl() {
    asio::post(io_, [this] {
      acceptor_.close(ignored_);
      retry_.cancel();
      while (!connections_.empty()) Close(connections_.front());
    });
    if (thread_.joinable()) thread_.join();
  }

  // Returns whether it listens; if not, the caller finds out why.
  bool Listen(const ListenAddress& address) {
    error_code error;
    tcp::resolver resolver(io_);
    const std::string host = address.host == "localhost" ? "127.0.0.1" : address.host;
    const auto found =
        resolver.resolve(host, absl::StrCat(address.port), tcp::resolver::passive, error);
    if (error || found.empty()) return false;
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_.open(endpoint.protocol(), error);
    if (error) return false;
    acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    // "[::]" also accepts IPv4, as in gRPC.
    if (endpoint.address().is_v6()) acceptor_.set_option(asio::ip::v6_only(false), error);
    acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) return false;
    port_ = acceptor_.local_endpoint(error).port();
    Accept();
    thread_ = ComputeBudget::StartThread("http", /*intra_op_threads=*/1, [this] { io_.run(); });
    return true;
  }

  int port() const { return port_; }

 private:
  struct Connection {
    explicit Connection(tcp::socket socket) : stream(std::move(socket)) {}
    beast::tcp_stream stream;
    beast::flat_buffer buffer{kMaxHeaderBytes + 4096};
    std::optional<http::request_parser<http::empty_body>> parser;
    http::response<http::string_body> response;
    std::list<std::shared_ptr<Connection>>::iterator place;
  };
  using ConnectionPtr = std::shared_ptr<Connection>;

  void Accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (!acceptor_.is_open()) return;
      if (error) {  // such as no descriptor left, which a busy loop would not bring back
        retry_.expires_after(std::chrono::milliseconds(100));
        retry_.async_wait([this](error_code cancelled) {
          if (!cancelled) Accept();
        });
        return;
      }
      while (connections_.size() >= static_cast<size_t>(options_.max_connections)) {
        Close(connections_.front());
      }
      auto connection = std::make_shared<Connection>(std::move(socket));
      connection->place = connections_.insert(connections_.end(), connection);
      Read(connection, options_.timeout);
      Accept();
    });
  }

  void Close(const ConnectionPtr& connection) {
    if (connection->place == connections_.end()) return;
    connection->stream.close();
    // Last, because `connection` may be the list's own pointer.
    connections_.erase(std::exchange(connection->place, connections_.end()));
  }

  static void SetTimeout(const ConnectionPtr& connection, absl::Duration timeout) {
    connection->stream.expires_after(absl::ToChronoNanoseconds(timeout));
  }

  // Waits up to `wait` for a request to begin.
  void Read(const ConnectionPtr& connection, absl::Duration wait) {
    connection->parser.emplace();
    connection->parser->header_limit(kMaxHeaderBytes);
    if (connection->buffer.size() > 0) return ReadRest(connection);  // it came with the last one
    SetTimeout(connection, wait);
    connection->stream.async_read_some(connection->buffer.prepare(2048),
                                       [this, connection](error_code error, size_t bytes) {
                                         if (error) return Close(connection);
                                         connection->buffer.commit(bytes);
                                         ReadRest(connection);
                                       });
  }

  void ReadRest(const ConnectionPtr& connection) {
    SetTimeout(connection, options_.timeout);
    http::async_read(connection->stream, connection->buffer, *connection->parser,
                     [this, connection](error_code error, size_t) {
                       const bool malformed =
                           error.category() == kHttpErrors && error != http::error::end_of_stream;
                       if (error && !malformed) return Close(connection);
                       Answer(connection, error);
                     });
  }

  void Answer(const ConnectionPtr& connection, error_code malformed) {
    const auto& request = connection->parser->get();
    HttpResponse answer;
    const bool reads = request.method() == http::verb::get || request.method() == http::verb::head;
    if (malformed) {
      answer = {.status = malformed == http::error::header_limit ? 431 : 400,
                .body = absl::StrCat("bad request: ", malformed.message(), "\n")};
    } else if (!reads) {
      answer = {.status = 405, .body = "only GET and HEAD are supported\n"};
    } else {
      const std::string target(request.target());
      answer = Handle({.path = target.substr(0, target.find('?'))});
    }
    auto& response = connection->response;
    response = {};
    response.version(request.version() == 10 ? 10 : 11);
    response.result(answer.status);
    response.set(http::field::content_type, answer.content_type);
    if (answer.status == 405) response.set(http::field::allow, "GET, HEAD");
    response.keep_alive(!malformed && request.keep_alive());
    response.content_length(answer.body.size());
    // Only the length, if only the header was requested.
    if (request.method() != http::verb::head) response.body() = std::move(answer.body);
    SetTimeout(connection, options_.timeout);
    http::async_write(connection->stream, response, [this, connection](error_code error, size_t) {
      if (error || connection->place == connections_.end()) return Close(connection);
      if (!connection->response.keep_alive()) {
        error_code ignored;
        connection->stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
        return Close(connection);
      }
      connections_.splice(connections_.end(), connections_, connection->place);
      Read(connection, options_.idle_timeout);
    });
  }

  HttpResponse Handle(const HttpRequest& request) const {
    try {
      return handler_(request);
    } catch (const std::exception& e) {
      return {.status = 500, .body = absl::StrCat("internal error: ", e.what(), "\n")};
    }
  }

  const Handler handler_;
  const Options options_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  std::list<ConnectionPtr> connections_;  // the longest idle first
  error_code ignored_;
  int port_ = 0;
  std::thread thread_;  // last: uses all of the above
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Create(const ListenAddress& address,
                                                               Handler handler,
                                                               const Options& options) {
  auto impl = std::make_unique<Impl>(std::move(handler), options);
  if (!impl->Listen(address)) return ExplainListenFailure(address);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

int HttpServer::port() const { return impl_->port(); }

}  // namespace vit
