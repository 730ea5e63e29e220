#include "client/vitctl/follow.h"

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>

#include "absl/strings/str_cat.h"
#include "client/vitctl/view/follow_output.h"
#include "client/vitctl/view/run_text.h"
#include "client/vitctl/view/text.h"

namespace vit {
namespace {

using ::vit::v1::MetricPoint;
using ::vit::v1::Run;
using ::vit::v1::WatchResponse;

// Returns false if `stop` came first.
bool Pause(absl::Duration duration, const std::stop_token& stop) {
  std::mutex mu;
  std::condition_variable_any woken;
  std::unique_lock lock(mu);
  woken.wait_for(lock, stop, absl::ToChronoNanoseconds(duration), [] { return false; });
  return !stop.stop_requested();
}

class Follower {
 public:
  Follower(Session& session, VitClient& client, const std::string& run,
           const FollowOptions& options)
      : session_(session),
        client_(client),
        options_(options),
        run_name_(run),
        deadline_(options.timeout ? absl::Now() + *options.timeout : absl::InfiniteFuture()),
        output_(MakeFollowOutput(session)) {
    if (session.io().catch_interrupt) stop_ = session.io().catch_interrupt();
  }

  int Follow() {
    absl::Duration backoff = absl::Milliseconds(200);
    for (;;) {
      const absl::Status status = FollowStream();
      if (stop_.stop_requested()) return Interrupted();
      if (absl::Now() >= deadline_ || (options_.timeout && absl::IsDeadlineExceeded(status))) {
        return TimedOut();
      }
      if (status.ok() && IsFinal(run_.state())) return Ended();
      // Otherwise the connection broke, or the daemon ended the stream because it shuts down.
      const bool alive = !run_.id().empty();
      if (!alive || !(status.ok() || absl::IsUnavailable(status))) return Fail(status);
      if (lost_since_ == absl::InfiniteFuture()) {
        lost_since_ = absl::Now();
        backoff = absl::Milliseconds(200);
      }
      const absl::Duration left = lost_since_ + options_.reconnect - absl::Now();
      if (left <= absl::ZeroDuration() || !saw_it_move_) return GiveUp(status);
      output_->Notice(absl::StrCat("lost the connection to ", session_.server,
                                   "; trying again for ", FormatSeconds(left)));
      if (!Pause(std::min({backoff, left, deadline_ - absl::Now()}), stop_)) return Interrupted();
      backoff = std::min(backoff * 1.6, absl::Seconds(2));
    }
  }

 private:
  // Shows one stream until it ends.
  absl::Status FollowStream() {
    vit::v1::WatchRequest request;
    request.set_run(run_.id().empty() ? run_name_ : run_.id());
    const auto stream = client_.Watch(request, deadline_ - absl::Now());
    std::stop_callback cancel(stop_, [&stream] { stream->Cancel(); });
    for (;;) {
      WatchResponse update;
      switch (stream->Next(absl::Now() + output_->tick(), &update)) {
        case WatchStream::Event::kTimeout:
          output_->Tick();
          break;
        case WatchStream::Event::kEnd:
          return stream->status();
        case WatchStream::Event::kUpdate:
          Show(&update);
          break;
      }
    }
  }

  void Show(WatchResponse* update) {
    const bool returned = lost_since_ != absl::InfiniteFuture();
    run_ = update->run();
    if (run_.state() != vit::v1::RUN_STATE_INTERRUPTED) {
      saw_it_move_ = true;
      lost_since_ = absl::InfiniteFuture();
      if (returned) output_->Notice("");
    }
    if (returned) FillGap(update);
    KeepNewPoints(update);
    output_->Update(*update);
  }

  // Adds what happened while there was no connection.
  void FillGap(WatchResponse* update) {
    vit::v1::GetHistoryRequest request;
    request.set_run(run_.id());
    int64_t after = INT64_MAX;
    for (const auto& [split, step] : last_step_) after = std::min(after, step);
    request.set_after_step(last_step_.empty() ? 0 : after);
    auto history = client_.GetHistory(request);
    if (!history.ok()) return;  // points of the gap stay out of the output
    for (MetricPoint& point : *update->mutable_points()) history->add_points()->Swap(&point);
    update->mutable_points()->Swap(history->mutable_points());
  }

  // A run that a crash interrupted repeats some steps; their points have already been shown.
  void KeepNewPoints(WatchResponse* update) {
    google::protobuf::RepeatedPtrField<MetricPoint> fresh;
    for (MetricPoint& point : *update->mutable_points()) {
      if (Seen(point)) fresh.Add()->Swap(&point);
    }
    update->mutable_points()->Swap(&fresh);
  }

  // Remembers `point`; returns false if it was shown before.
  bool Seen(const MetricPoint& point) {
    auto [last, inserted] = last_step_.try_emplace(point.split(), point.step());
    if (inserted) return true;
    if (point.step() <= last->second) return false;
    last->second = point.step();
    return true;
  }

  int Fail(const absl::Status& status) {
    output_->Close();
    return session_.Fail(status);
  }

  int GiveUp(const absl::Status& status) {
    output_->Notice("");
    output_->Close();
    if (run_.state() == vit::v1::RUN_STATE_INTERRUPTED) {
      Closing(
          absl::StrCat("run ", RunTitle(run_), " was INTERRUPTED: the daemon went away"),
          absl::StrCat("continue it: ", session_.CommandLine(absl::StrCat("resume ", run_.id()))));
      return kExitRunStopped;
    }
    return session_.Fail(absl::UnavailableError(absl::StrCat(
        status.ok() ? absl::StrCat("vitd at ", session_.server, " ended the stream")
                    : absl::StrCat(status.message()),
        "; gave up watching after ", FormatSeconds(options_.reconnect),
        "; follow the run again with: ", session_.CommandLine(absl::StrCat("watch ", run_.id())))));
  }

  int TimedOut() {
    output_->Close();
    return session_.Fail(absl::DeadlineExceededError(absl::StrCat(
        run_.id().empty()
            ? "no answer"
            : absl::StrCat("run ", RunTitle(run_), " is still ", StateName(run_.state())),
        " after ", FormatSeconds(options_.timeout.value_or(absl::ZeroDuration())),
        run_.id().empty() ? "" : "; it continues")));
  }

  int Interrupted() {
    output_->Close();
    if (!session_.json() && !run_.id().empty()) {
      session_.err() << "run " << RunTitle(run_) << " continues. Follow it again with: "
                     << session_.CommandLine(absl::StrCat("watch ", run_.id()))
                     << "\nStop it with: " << session_.CommandLine(absl::StrCat("stop ", run_.id()))
                     << std::endl;
    }
    return kExitInterrupted;
  }

  int Ended() {
    output_->Close();
    const auto elapsed = Elapsed(run_, absl::Now());
    const std::string best = BestText(run_);
    const std::string head = absl::StrCat(
        "run ", run_.id(), " ", StateName(run_.state()),
        elapsed ? absl::StrCat(" after ", FormatSeconds(*elapsed)) : "",
        run_.best_checkpoint().has_accuracy() ? absl::StrCat(", best accuracy ", best) : "");
    const std::string classify = absl::StrCat(
        "classify with it: ",
        session_.CommandLine(absl::StrCat("classify --model run:", run_.id(), " FILE")));
    const std::string resume =
        absl::StrCat("continue it: ", session_.CommandLine(absl::StrCat("resume ", run_.id())));
    switch (run_.state()) {
      case vit::v1::RUN_STATE_SUCCEEDED:
        Closing(head, classify);
        return kExitOk;
      case vit::v1::RUN_STATE_STOPPED:
        Closing(head, run_.has_last_checkpoint() ? resume : "");
        return kExitRunStopped;
      default:
        Closing(
            absl::StrCat(
                head, run_.message().empty() ? "" : absl::StrCat(": ", Printable(run_.message()))),
            run_.has_last_checkpoint() ? resume : "");
        return kExitRunFailed;
    }
  }

  // With -o json the last message says everything.
  void Closing(const std::string& line, const std::string& next) {
    if (session_.json()) return;
    session_.out() << Paint(line, StateStyle(run_.state()), session_.terminal().color) << "\n";
    if (!next.empty()) session_.out() << next << "\n";
    session_.out().flush();
  }

  Session& session_;
  VitClient& client_;
  const FollowOptions options_;
  const std::string run_name_;
  const absl::Time deadline_;
  std::stop_token stop_;
  std::unique_ptr<FollowOutput> output_;
  Run run_;  // as last heard of
  std::map<vit::v1::Split, int64_t> last_step_;
  absl::Time lost_since_ = absl::InfiniteFuture();
  bool saw_it_move_ = false;  // it was in a state other than INTERRUPTED while we watched
};

}  // namespace

int FollowRun(Session& session, VitClient& client, const std::string& run,
              const FollowOptions& options) {
  return Follower(session, client, run, options).Follow();
}

}  // namespace vit
