#include "server/services/open_inference/infer_stream.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/net/grpc_status.h"

namespace vit {
namespace {

// What a stream may have in progress: enough for two large batches.
constexpr size_t kMaxExchanges = 64;
constexpr int64_t kMaxBytes = 64 << 20;

}  // namespace

InferStream::InferStream(const absl::Status& refusal) { Finish(ToGrpcStatus(refusal)); }

InferStream::InferStream(Answer answer, absl::Time deadline)
    : answer_(std::move(answer)), deadline_(deadline) {
  MutexLock lock(&mu_);
  ReadNext();
}

void InferStream::ReadNext() {
  if (all_read_ || next_ != nullptr || exchanges_.size() >= kMaxExchanges || bytes_ >= kMaxBytes) {
    return;
  }
  next_ = std::make_unique<Exchange>();
  StartRead(&next_->request);
}

void InferStream::OnReadDone(bool ok) {
  Exchange* exchange = nullptr;
  bool over = false;
  {
    MutexLock lock(&mu_);
    if (ok) {
      exchange = next_.get();
      exchange->request_bytes = static_cast<int64_t>(exchange->request.ByteSizeLong());
      bytes_ += exchange->request_bytes;
      exchanges_.push_back(std::move(next_));
      ReadNext();
    } else {
      next_.reset();
      all_read_ = true;
      over = IsOver();
    }
  }
  if (over) return Finish(grpc::Status::OK);
  if (exchange == nullptr) return;
  answer_(exchange->request, {.deadline = deadline_, .cancelled = stop_.get_token()},
          exchange->response.mutable_infer_response(),
          [this, exchange](const absl::Status& status) { OnAnswer(exchange, status); });
}

void InferStream::OnAnswer(Exchange* exchange, const absl::Status& status) {
  if (!status.ok()) {
    exchange->response.Clear();
    exchange->response.set_error_message(absl::StrCat(absl::StatusCodeToString(status.code()), ": ",
                                                      ToGrpcStatus(status).error_message()));
    exchange->response.mutable_infer_response()->set_id(exchange->request.id());
  }
  bool over = false;
  {
    MutexLock lock(&mu_);
    exchange->answered = true;
    WriteNext();
    ReadNext();
    over = IsOver();
  }
  if (over) Finish(grpc::Status::OK);
}

void InferStream::WriteNext() {
  if (writing_) return;
  while (client_gone_ && !exchanges_.empty() && exchanges_.front()->answered) RemoveFirst();
  if (exchanges_.empty() || !exchanges_.front()->answered) return;
  writing_ = true;
  StartWrite(&exchanges_.front()->response);
}

void InferStream::OnWriteDone(bool ok) {
  // Without the lock: what is stopped answers here.
  if (!ok) stop_.request_stop();
  bool over = false;
  {
    MutexLock lock(&mu_);
    writing_ = false;
    client_gone_ = client_gone_ || !ok;
    RemoveFirst();
    WriteNext();
    ReadNext();
    over = IsOver();
  }
  if (over) Finish(grpc::Status::OK);
}

void InferStream::RemoveFirst() {
  bytes_ -= exchanges_.front()->request_bytes;
  exchanges_.pop_front();
}

bool InferStream::IsOver() {
  if (over_ || !all_read_ || !exchanges_.empty()) return false;
  over_ = true;
  return true;
}

}  // namespace vit
