#include "client/vitctl/session.h"

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/lib/transport_error.h"
#include "client/vitctl/view/text.h"
#include "google/protobuf/util/json_util.h"

namespace vit {
namespace {

// What to do about a server that does not answer.
std::string WayOut(const absl::Status& status, const std::string& server) {
  if (GetTransportFailure(status) != TransportFailure::kConnect) return "";
  return IsLoopback(server)
             ? "; is it running? start it with: vitd --state-dir DIR, or name another with --server"
             : "; is vitd running there, and does it --listen beyond loopback? name another with "
               "--server";
}

}  // namespace

std::string DefaultServer() {
  const char* value = std::getenv("VITCTL_SERVER");
  return value == nullptr || *value == '\0' ? kDefaultServer : value;
}

int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
      return kExitUsage;
    case absl::StatusCode::kNotFound:
      return kExitNotFound;
    case absl::StatusCode::kUnavailable:
      return kExitUnavailable;
    case absl::StatusCode::kDeadlineExceeded:
      return kExitDeadline;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
      return kExitPrecondition;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return kExitDenied;
    default:
      return kExitFailure;
  }
}

std::optional<absl::Duration> Session::given_timeout() const {
  const auto parsed = ParseTimeout(timeout);
  if (!parsed.ok()) return std::nullopt;
  return *parsed;
}

absl::StatusOr<std::unique_ptr<VitClient>> Session::Connect(absl::Duration default_timeout) const {
  VitClient::Options options;
  options.server = server;
  options.user_agent = absl::StrCat("vitctl/", VIT_VERSION);
  options.timeout = given_timeout().value_or(default_timeout);
  // A user who gives a timeout wants to wait that long for the server.
  if (given_timeout().has_value()) options.connect_patience = options.timeout;
  auto client = VitClient::Create(std::move(options));
  if (!client.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--server: ", client.status().message()));
  }
  return client;
}

absl::StatusOr<VitClient*> Session::Client(absl::Duration default_timeout) {
  auto client = Connect(default_timeout);
  if (!client.ok()) return client.status();
  client_ = *std::move(client);
  return client_.get();
}

int Session::Fail(const absl::Status& status) const {
  const int exit_code = ExitCodeOf(status);
  const std::string message = absl::StrCat(status.message(), WayOut(status, server));
  if (json_errors()) {
    const nlohmann::ordered_json error = {{"error",
                                           {{"code", absl::StatusCodeToString(status.code())},
                                            {"message", message},
                                            {"exit_code", exit_code}}}};
    err() << error.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
  } else {
    err() << "vitctl: " << message << std::endl;
  }
  return exit_code;
}

void Session::Note(absl::string_view text) const {
  if (json_errors()) {
    const nlohmann::ordered_json note = {{"note", std::string(text)}};
    err() << note.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
  } else {
    err() << "vitctl: " << text << std::endl;
  }
}

void Session::PrintJson(const google::protobuf::Message& message) const {
  out() << ToJson(message, /*pretty=*/true);
}

std::string Session::CommandLine(absl::string_view command) const {
  if (server == DefaultServer()) return absl::StrCat("vitctl ", command);
  return absl::StrCat("vitctl --server ", server, " ", command);
}

std::string ToJson(const google::protobuf::Message& message, bool pretty) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = pretty;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  // Only google.protobuf.Any and times out of range can fail.
  if (!status.ok()) {
    return absl::StrCat("{\"error\":\"", status.ToString(), "\"}", pretty ? "\n" : "");
  }
  return json;
}

}  // namespace vit
