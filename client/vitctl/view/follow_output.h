// The three ways in which a followed run is shown.
#ifndef VIT_CLIENT_VITCTL_VIEW_FOLLOW_OUTPUT_H_
#define VIT_CLIENT_VITCTL_VIEW_FOLLOW_OUTPUT_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/vitctl/session.h"
#include "vit/v1/training.pb.h"

namespace vit {

class FollowOutput {
 public:
  virtual ~FollowOutput() = default;

  // A message of the stream; its points are new.
  virtual void Update(const vit::v1::WatchResponse& update) = 0;
  // Time passed. Called every `tick` while nothing else happens.
  virtual void Tick() {}
  virtual absl::Duration tick() const { return absl::InfiniteDuration(); }
  // A passing remark on the connection; empty when it is over.
  virtual void Notice(absl::string_view text) = 0;
  // Ends the output: leaves what is on the screen, with the cursor below it.
  virtual void Close() {}
};

// Chosen by `session`: JSON lines with -o json, a live view on a terminal, else plain lines.
std::unique_ptr<FollowOutput> MakeFollowOutput(const Session& session);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_VIEW_FOLLOW_OUTPUT_H_
