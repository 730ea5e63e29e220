#include "client/lib/transport_error.h"

#include <array>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace vit {
namespace {

constexpr char kPayload[] = "vit.client/transport";

struct Reason {
  absl::string_view grpc_says;
  absl::string_view we_say;
};

// Searched for in gRPC's message; the first match counts.
constexpr std::array<Reason, 13> kConnectReasons = {{
    {"Connection refused", "connection refused"},
    {"http1.x server", "what listens there does not speak gRPC (its metrics port?)"},
    {"No such file or directory", "no such socket"},
    {"No route to host", "no route to host"},
    {"Network is unreachable", "network unreachable"},
    {"Permission denied", "permission denied"},
    {"DNS resolution failed", "no such host name"},
    {"Domain name not found", "no such host name"},
    {"Name or service not known", "no such host name"},
    {"Misformatted domain name", "no such host name"},
    {"imed out", "the connection timed out"},
    {"handshaker shutdown", "the connection timed out"},
    {"Deadline exceeded", "the connection timed out"},
}};
constexpr std::array<absl::string_view, 4> kConnectMarks = {
    "failed to connect to all addresses", "DNS resolution failed", "Domain name not found",
    "empty address list"};
constexpr std::array<absl::string_view, 9> kLostMarks = {
    "Socket closed", "Connection reset", "Broken pipe",
    "GOAWAY",        "keepalive",        "Endpoint read failed",
    "recvmsg",       "Transport closed", "transport is closing"};

template <size_t N>
bool ContainsAny(const std::string& text, const std::array<absl::string_view, N>& marks) {
  for (const absl::string_view mark : marks) {
    if (absl::StrContains(text, mark)) return true;
  }
  return false;
}

absl::Status Marked(absl::Status status, absl::string_view how) {
  status.SetPayload(kPayload, absl::Cord(how));
  return status;
}

absl::Status Lost(const std::string& server) {
  return Marked(absl::UnavailableError(absl::StrCat("lost the connection to vitd at ", server)),
                "lost");
}

absl::Status CannotConnect(const std::string& message, const std::string& server) {
  for (const Reason& reason : kConnectReasons) {
    if (absl::StrContains(message, reason.grpc_says)) {
      return Marked(absl::UnavailableError(
                        absl::StrCat("cannot reach vitd at ", server, ": ", reason.we_say)),
                    "connect");
    }
  }
  return Marked(
      absl::UnavailableError(absl::StrCat("cannot reach vitd at ", server, ": ", message)),
      "connect");
}

}  // namespace

absl::Status TranslateError(int code, const std::string& message, const std::string& server,
                            absl::Duration timeout) {
  const auto absl_code = static_cast<absl::StatusCode>(code);
  switch (absl_code) {
    case absl::StatusCode::kOk:
      return absl::OkStatus();
    case absl::StatusCode::kUnavailable:
      if (ContainsAny(message, kConnectMarks)) return CannotConnect(message, server);
      if (ContainsAny(message, kLostMarks)) return Lost(server);
      break;
    case absl::StatusCode::kUnknown:
      if (message == "Stream removed") return Lost(server);
      break;
    case absl::StatusCode::kCancelled:
      // A server that shuts down cancels the calls that reach it too late, without a word.
      if (message.empty() || message == "CANCELLED") return Lost(server);
      break;
    case absl::StatusCode::kDeadlineExceeded:
      // gRPC's own words for the local deadline; the server's are more precise and stay.
      if (absl::EqualsIgnoreCase(message, "Deadline Exceeded") || message.empty()) {
        return absl::DeadlineExceededError(absl::StrCat("no answer from vitd at ", server,
                                                        " within ", absl::FormatDuration(timeout)));
      }
      break;
    case absl::StatusCode::kUnimplemented:
      return absl::UnimplementedError(
          absl::StrCat("the server at ", server, " does not offer this call",
                       message.empty() ? "" : absl::StrCat(" (", message, ")"),
                       "; is it a vitd of this version?"));
    default:
      break;
  }
  return absl::Status(absl_code, message.empty() ? absl::StatusCodeToString(absl_code) : message);
}

TransportFailure GetTransportFailure(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return TransportFailure::kNone;
  return *payload == "connect" ? TransportFailure::kConnect : TransportFailure::kLost;
}

}  // namespace vit
