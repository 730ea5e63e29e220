// A stream of requests of the Open Inference Protocol.
#ifndef VIT_SERVER_SERVICES_OPEN_INFERENCE_INFER_STREAM_H_
#define VIT_SERVER_SERVICES_OPEN_INFERENCE_INFER_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <stop_token>

#include "absl/status/status.h"
#include "core/base/mutex.h"
#include "core/infer/inference_engine.h"
#include "inference/grpc_predict_v2.pb.h"

namespace vit {

// Answers each request of a stream, in the order of the requests; several are computed at a time.
// Reads no further while too many are in progress. An error goes into its request's answer, and the
// stream goes on. Ends when the client has sent its last request and has the answers. Deletes
// itself.
class InferStream final : public grpc::ServerBidiReactor<inference::ModelInferRequest,
                                                         inference::ModelStreamInferResponse> {
 public:
  // Answers one request; as AnswerInfer.
  using Answer = std::function<void(
      const inference::ModelInferRequest& request, const CallContext& context,
      inference::ModelInferResponse* response, std::function<void(const absl::Status&)> done)>;

  // Refuses the stream.
  explicit InferStream(const absl::Status& refusal);
  InferStream(Answer answer, absl::Time deadline);

 private:
  // A request in progress.
  struct Exchange {
    inference::ModelInferRequest request;
    inference::ModelStreamInferResponse response;
    int64_t request_bytes = 0;
    bool answered = false;
  };

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override { stop_.request_stop(); }
  void OnDone() override { delete this; }

  void OnAnswer(Exchange* exchange, const absl::Status& status);
  // Reads the next request unless enough are in progress.
  void ReadNext() VIT_REQUIRES(mu_);
  // Writes the first answer if it is there.
  void WriteNext() VIT_REQUIRES(mu_);
  void RemoveFirst() VIT_REQUIRES(mu_);
  // Returns whether the caller has to finish the stream, without the lock.
  bool IsOver() VIT_REQUIRES(mu_);

  const Answer answer_;
  const absl::Time deadline_ = absl::InfiniteFuture();
  std::stop_source stop_;
  Mutex mu_;
  std::unique_ptr<Exchange> next_ VIT_GUARDED_BY(mu_);  // being read
  std::deque<std::unique_ptr<Exchange>> exchanges_ VIT_GUARDED_BY(mu_);
  int64_t bytes_ VIT_GUARDED_BY(mu_) = 0;  // of their requests
  bool all_read_ VIT_GUARDED_BY(mu_) = false;
  bool writing_ VIT_GUARDED_BY(mu_) = false;
  bool client_gone_ VIT_GUARDED_BY(mu_) = false;
  bool over_ VIT_GUARDED_BY(mu_) = false;
};

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_OPEN_INFERENCE_INFER_STREAM_H_
