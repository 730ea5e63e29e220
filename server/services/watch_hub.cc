#include "server/services/watch_hub.h"

#include <algorithm>
#include <utility>

#include "core/base/compute/compute_budget.h"
#include "server/net/grpc_status.h"

namespace vit {
namespace {

using vit::v1::MetricPoint;
using vit::v1::RunState;
using vit::v1::WatchResponse;

// Returns whether the run ended by itself or was stopped.
bool IsDone(RunState state) {
  return state == vit::v1::RUN_STATE_SUCCEEDED || state == vit::v1::RUN_STATE_FAILED ||
         state == vit::v1::RUN_STATE_STOPPED;
}

bool HasEnded(RunState state) { return IsDone(state) || state == vit::v1::RUN_STATE_INTERRUPTED; }

grpc::Status ShuttingDown() {
  return grpc::Status(grpc::StatusCode::UNAVAILABLE,
                      "vitd is shutting down; the run continues when vitd starts again");
}

}  // namespace

// One stream. gRPC calls the On... methods; the rest belongs to the hub's thread, or is guarded by
// the hub's lock.
class WatchHub::Watcher : public grpc::ServerWriteReactor<WatchResponse> {
 public:
  Watcher(WatchHub* hub, std::string run) : hub_(hub), run_(std::move(run)) {}

  void OnWriteDone(bool ok) override {
    MutexLock lock(&hub_->mu_);
    writing_ = false;
    if (!ok) cancelled_ = true;
    hub_->changed_.NotifyAll();
  }
  void OnCancel() override {
    MutexLock lock(&hub_->mu_);
    cancelled_ = true;
    hub_->changed_.NotifyAll();
  }
  void OnDone() override { delete this; }

 private:
  friend class WatchHub;

  void MarkChanged() {
    MutexLock lock(&hub_->mu_);
    changed_ = true;
    hub_->changed_.NotifyAll();
  }

  // Fills response_ with the run as it is now. Hub's thread.
  absl::Status Read() {
    absl::StatusOr<vit::v1::StatusResponse> status = hub_->runs_->GetStatus(run_);
    if (!status.ok()) return status.status();
    response_.Clear();
    *response_.mutable_run() = std::move(*status->mutable_run());
    const int64_t step = response_.run().step();
    if (step < step_) {
      // The run went back to a checkpoint, and its history with it.
      train_step_ = std::min(train_step_, step);
      validation_step_ = std::min(validation_step_, step);
    }
    step_ = step;
    absl::Status read = ReadPoints(vit::v1::SPLIT_TRAIN, &train_step_);
    if (read.ok()) read = ReadPoints(vit::v1::SPLIT_VALIDATION, &validation_step_);
    std::stable_sort(
        response_.mutable_points()->begin(), response_.mutable_points()->end(),
        [](const MetricPoint& a, const MetricPoint& b) { return a.step() < b.step(); });
    return read;
  }

  // Reads each split by itself: an evaluation's point comes after the training point of the same
  // step.
  absl::Status ReadPoints(vit::v1::Split split, int64_t* after_step) {
    vit::v1::GetHistoryRequest request;
    request.set_run(run_);
    request.set_split(split);
    request.set_after_step(*after_step);
    request.set_max_points(hub_->options_.max_points);
    absl::StatusOr<vit::v1::GetHistoryResponse> history = hub_->runs_->GetHistory(request);
    if (!history.ok()) return history.status();
    for (MetricPoint& point : *history->mutable_points()) {
      *after_step = std::max(*after_step, point.step());
      *response_.add_points() = std::move(point);
    }
    return absl::OkStatus();
  }

  WatchHub* const hub_;
  const std::string run_;  // its id

  // Guarded by hub_->mu_.
  bool changed_ = true;
  bool writing_ = false;
  bool cancelled_ = false;
  absl::Time next_send_ = absl::InfinitePast();

  // The hub's thread alone.
  bool last_message_sent_ = false;
  grpc::Status end_;  // once last_message_sent_
  int64_t step_ = 0;
  int64_t train_step_ = 0;
  int64_t validation_step_ = 0;
  WatchResponse response_;  // stays while it is being written
  std::shared_ptr<void> subscription_;
};

WatchHub::WatchHub(RunManager* runs, Options options)
    : runs_(runs),
      options_(options),
      thread_(ComputeBudget::StartThread("vitd-watch", 1, [this] { Work(); })) {}

WatchHub::~WatchHub() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

grpc::ServerWriteReactor<WatchResponse>* WatchHub::Watch(const vit::v1::WatchRequest& request) {
  // The id, once: a name or "the latest" may mean another run later.
  absl::StatusOr<vit::v1::StatusResponse> status = runs_->GetStatus(request.run());
  auto* watcher = new Watcher(this, status.ok() ? status->run().id() : "");
  if (!status.ok()) {
    watcher->Finish(ToGrpcStatus(status.status()));
    return watcher;
  }
  auto subscription = runs_->Subscribe(watcher->run_, [watcher] { watcher->MarkChanged(); });
  if (!subscription.ok()) {
    watcher->Finish(ToGrpcStatus(subscription.status()));
    return watcher;
  }
  watcher->subscription_ = *std::move(subscription);
  MutexLock lock(&mu_);
  watchers_.push_back(watcher);
  changed_.NotifyAll();
  return watcher;
}

void WatchHub::AnnounceShutdown() {
  MutexLock lock(&mu_);
  shutting_down_ = true;
}

void WatchHub::Drain() {
  MutexLock lock(&mu_);
  shutting_down_ = true;
  draining_ = true;
  changed_.NotifyAll();
}

void WatchHub::Work() {
  while (Watcher* watcher = AwaitDue()) Serve(watcher);
}

WatchHub::Watcher* WatchHub::AwaitDue() {
  MutexLock lock(&mu_);
  while (true) {
    const absl::Time now = options_.clock->Now();
    absl::Time next = absl::InfiniteFuture();
    for (size_t i = 0; i < watchers_.size(); ++i) {
      Watcher* watcher = watchers_[i];
      if (watcher->writing_) continue;
      const bool due = watcher->cancelled_ || watcher->last_message_sent_ || draining_ ||
                       (watcher->changed_ && watcher->next_send_ <= now);
      if (due) {
        // Moves it to the end of the line, so that each gets its turn.
        std::rotate(watchers_.begin() + i, watchers_.begin() + i + 1, watchers_.end());
        return watcher;
      }
      if (watcher->changed_) next = std::min(next, watcher->next_send_);
    }
    if (stopping_ && watchers_.empty()) return nullptr;
    options_.clock->WaitUntil(&changed_, &mu_, next);
  }
}

void WatchHub::Serve(Watcher* watcher) {
  bool cancelled, draining;
  {
    MutexLock lock(&mu_);
    cancelled = watcher->cancelled_;
    draining = draining_;
    watcher->changed_ = false;  // before reading: what changes from here on is reported next time
    watcher->next_send_ = options_.clock->Now() + options_.min_interval;
  }
  if (cancelled) {
    return End(watcher, grpc::Status(grpc::StatusCode::CANCELLED, "cancelled by the client"));
  }
  if (watcher->last_message_sent_) return End(watcher, watcher->end_);
  if (const absl::Status read = watcher->Read(); !read.ok()) {
    return End(watcher, ToGrpcStatus(read));
  }
  const RunState state = watcher->response_.run().state();
  watcher->last_message_sent_ = draining || HasEnded(state);
  {
    MutexLock lock(&mu_);
    // Checked after the run, which is interrupted only once the shutdown is announced.
    if (shutting_down_ && !IsDone(state)) watcher->end_ = ShuttingDown();
    watcher->writing_ = true;
  }
  watcher->StartWrite(&watcher->response_);
}

void WatchHub::End(Watcher* watcher, const grpc::Status& status) {
  {
    MutexLock lock(&mu_);
    watchers_.erase(std::find(watchers_.begin(), watchers_.end(), watcher));
  }
  // Waits for a notification in progress, which takes the lock.
  watcher->subscription_.reset();
  watcher->Finish(status);
}

}  // namespace vit
