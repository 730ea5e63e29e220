// Following a run to its end, for watch, start-run --watch and resume --watch.
#ifndef VIT_CLIENT_VITCTL_FOLLOW_H_
#define VIT_CLIENT_VITCTL_FOLLOW_H_

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "client/vitctl/session.h"

namespace vit {

struct FollowOptions {
  // How long to try to restore a broken connection; 0 gives up at once.
  absl::Duration reconnect = absl::Minutes(2);
  // Give up watching after this long, with DEADLINE_EXCEEDED; the run continues.
  std::optional<absl::Duration> timeout;
};

// Shows `run` (as in WatchRequest) until it ends: a live view on a terminal, a line for every event
// in a pipe, a line of JSON for every message with -o json. When the connection breaks or the
// daemon goes away, says so, tries again, and continues where it was, without showing a point
// twice. Ctrl-C ends the watching and leaves the run alone.
//
// Returns 0 for a run that succeeded, kExitRunFailed, kExitRunStopped, kExitInterrupted after
// Ctrl-C, or the code of the error that ended the watching.
int FollowRun(Session& session, VitClient& client, const std::string& run,
              const FollowOptions& options);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_FOLLOW_H_
