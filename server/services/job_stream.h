// Long calls that report their progress.
#ifndef VIT_SERVER_SERVICES_JOB_STREAM_H_
#define VIT_SERVER_SERVICES_JOB_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include "absl/status/status.h"
#include "core/base/mutex.h"
#include "core/base/task_pool.h"
#include "server/net/grpc_status.h"
#include "server/services/call_tracker.h"

namespace vit {

// Runs a job on a thread of a pool and streams what it reports. A client that reads slowly misses
// messages, but never the last one. The job's stop token is stopped when the client goes away and
// when `stop_all` is. Deletes itself.
template <typename Response>
class JobStream final : public grpc::ServerWriteReactor<Response> {
 public:
  using Tell = std::function<void(const Response&)>;
  using Job = std::function<absl::Status(const std::stop_token& stop, const Tell& tell)>;

  // Answers with `refusal` alone.
  explicit JobStream(const absl::Status& refusal) { this->Finish(ToGrpcStatus(refusal)); }
  JobStream(CallTracker* calls, const std::stop_token& stop_all)
      : in_flight_(calls->Enter()), on_stop_all_(std::in_place, stop_all, Stop{&stop_}) {}

  void Start(TaskPool* pool, Job job) {
    const absl::Status queued = pool->Run([this, job = std::move(job)] {
      End(stop_.stop_requested()
              ? absl::CancelledError("the call was cancelled before its turn came")
              : job(stop_.get_token(), [this](const Response& response) { Send(response); }));
    });
    if (!queued.ok()) End(queued);
  }

 private:
  struct Stop {
    std::stop_source* source;
    void operator()() const { source->request_stop(); }
  };

  void OnCancel() override { stop_.request_stop(); }
  void OnDone() override { delete this; }

  void Send(const Response& response) {
    MutexLock lock(&mu_);
    if (client_gone_) return;
    next_ = response;
    if (!writing_) WriteNext();
  }
  void WriteNext() VIT_REQUIRES(mu_) {
    current_ = *std::move(next_);
    next_.reset();
    writing_ = true;
    this->StartWrite(&current_);
  }
  void OnWriteDone(bool ok) override {
    std::optional<grpc::Status> last;
    {
      MutexLock lock(&mu_);
      writing_ = false;
      if (!ok) {
        client_gone_ = true;
        next_.reset();
        stop_.request_stop();
      }
      if (next_.has_value()) {
        WriteNext();
      } else {
        last = status_;
      }
    }
    // Without the lock: this object may be gone when Finish returns.
    if (last.has_value()) this->Finish(*last);
  }
  void End(const absl::Status& status) {
    const grpc::Status answer = ToGrpcStatus(status);
    {
      MutexLock lock(&mu_);
      status_ = answer;
      if (writing_) return;
    }
    this->Finish(answer);
  }

  std::shared_ptr<void> in_flight_;
  std::stop_source stop_;
  std::optional<std::stop_callback<Stop>> on_stop_all_;  // after what it stops
  Mutex mu_;
  bool writing_ VIT_GUARDED_BY(mu_) = false;
  bool client_gone_ VIT_GUARDED_BY(mu_) = false;
  Response current_;                                        // being written
  std::optional<Response> next_ VIT_GUARDED_BY(mu_);        // the latest, once current_ is written
  std::optional<grpc::Status> status_ VIT_GUARDED_BY(mu_);  // once the job has ended
};

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_JOB_STREAM_H_
