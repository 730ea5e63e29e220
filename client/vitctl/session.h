// What every command of vitctl shares: where output goes, the global options, the connection.
#ifndef VIT_CLIENT_VITCTL_SESSION_H_
#define VIT_CLIENT_VITCTL_SESSION_H_

#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/lib/client.h"
#include "client/vitctl/view/terminal.h"
#include "google/protobuf/message.h"

namespace vit {

// The exit codes of vitctl; documented in --help and docs/vitctl.md, and never renumbered.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,
  kExitUsage = 2,  // the command line, a spec or an image is wrong (INVALID_ARGUMENT)
  kExitNotFound = 3,
  kExitUnavailable = 4,  // not reachable, or cannot serve now
  kExitDeadline = 5,
  kExitRunFailed = 6,
  kExitRunStopped = 7,    // stopped or interrupted
  kExitPrecondition = 8,  // the run's state does not allow it
  kExitDenied = 9,
  kExitInterrupted = 130,
};

int ExitCodeOf(const absl::Status& status);

// Where vitctl reads and writes. The process's own streams in main, strings in tests.
struct Io {
  std::istream* in = nullptr;
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  Terminal terminal;
  // Called once by a command that handles Ctrl-C itself; the token is stopped by it. Null: Ctrl-C
  // ends the process.
  std::function<std::stop_token()> catch_interrupt;
};

// VITCTL_SERVER of the environment, else kDefaultServer.
std::string DefaultServer();

class Session {
 public:
  explicit Session(Io io) : io_(std::move(io)) {}

  // Global options, set by the parser.
  std::string server = DefaultServer();
  std::string output = "table";
  std::string timeout;
  // What the chosen command does; its result is the exit code.
  std::function<int()> action;

  const Io& io() const { return io_; }
  std::ostream& out() const { return *io_.out; }
  std::ostream& err() const { return *io_.err; }
  const Terminal& terminal() const { return io_.terminal; }
  bool json() const { return output == "json"; }
  // Whether errors and notes are JSON, too.
  bool json_errors() const { return json() || output == "jsonl"; }
  // From now on tables show every column whole, whatever the width of the terminal.
  void ShowWhole() {
    io_.terminal.columns = [] { return 0; };
  }

  // Returns the --timeout, if one was given; the parser has checked it.
  std::optional<absl::Duration> given_timeout() const;
  // Returns the connection; `default_timeout` is the deadline of calls if no --timeout was given.
  absl::StatusOr<VitClient*> Client(absl::Duration default_timeout = absl::Seconds(30));
  // Returns a connection of its own.
  absl::StatusOr<std::unique_ptr<VitClient>> Connect(absl::Duration default_timeout) const;

  // Reports `status` on stderr (one line of JSON with -o json or jsonl) and returns the exit code
  // for it. For a server that cannot be reached the message says what to do about it.
  int Fail(const absl::Status& status) const;
  // Prints a remark on stderr, in the same form.
  void Note(absl::string_view text) const;

  // Prints `message` on stdout, in protobuf's JSON with the proto's field names, including fields
  // at their default.
  void PrintJson(const google::protobuf::Message& message) const;
  // Returns a command line for the user to type, with the --server in use if it is not the default.
  std::string CommandLine(absl::string_view command) const;

 private:
  Io io_;
  std::unique_ptr<VitClient> client_;
};

// Returns `message` in protobuf's JSON with the proto's field names and every field that has no
// presence. `pretty`: indented, with a newline at the end; else one line without one.
std::string ToJson(const google::protobuf::Message& message, bool pretty);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_SESSION_H_
