// Requests that the engine is working on.
#ifndef VIT_CORE_INFER_INFERENCE_CALL_H_
#define VIT_CORE_INFER_INFERENCE_CALL_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/infer/frozen_model.h"
#include "vit/v1/inference.pb.h"

namespace vit {

// Fills in which model answered.
void FillIdentity(const FrozenModel& model, vit::v1::ModelIdentity* identity);

// A request in progress. Its images finish in any order, on any thread; the last one answers.
class Call {
 public:
  virtual ~Call() = default;

  virtual int images() const = 0;
  virtual const std::string& image(int index) const = 0;
  // Takes the result of an image; called once per index. `prepared`: the image as it went into the
  // model.
  virtual void Fill(int index, const std::vector<uint8_t>& prepared, Computed computed) = 0;
  virtual void Fail(int index, const absl::Status& status) = 0;
  // Ends the request: with the results of its images, or as a whole.
  virtual void Answer() = 0;
  virtual void Refuse(const absl::Status& status) = 0;

  Work work;
  std::string model_name;
  absl::Time arrival, deadline;
  std::function<bool()> cancelled;
  std::shared_ptr<const FrozenModel> model;
  std::atomic<int> left{0};
};

// A request with images, whose response has one result per image.
template <typename Request, typename Response>
class BatchCall : public Call {
 public:
  using Done = std::function<void(absl::StatusOr<Response>)>;
  BatchCall(Request request, Done done) : request_(std::move(request)), done_(std::move(done)) {
    // Made beforehand: each image fills in its own.
    for (int i = 0; i < request_.images_size(); ++i) response_.add_results();
  }

  int images() const override { return request_.images_size(); }
  const std::string& image(int index) const override { return request_.images(index); }

  void Fail(int index, const absl::Status& status) override {
    response_.mutable_results(index)->set_code(static_cast<int>(status.code()));
    response_.mutable_results(index)->set_error(std::string(status.message()));
  }

  // A request fails as a whole if its only image fails, or if no image could be computed in time.
  void Answer() override {
    const auto& first = response_.results(0);
    const auto code = static_cast<absl::StatusCode>(first.code());
    const bool whole =
        response_.results_size() == 1 || code == absl::StatusCode::kDeadlineExceeded ||
        code == absl::StatusCode::kCancelled || code == absl::StatusCode::kUnavailable;
    const bool all_failed = std::all_of(response_.results().begin(), response_.results().end(),
                                        [](const auto& result) { return result.code() != 0; });
    if (whole && all_failed) return done_(absl::Status(code, first.error()));
    FillIdentity(*model, response_.mutable_model());
    Complete(*model, &response_);
    done_(std::move(response_));
  }

  void Refuse(const absl::Status& status) override { done_(status); }

 protected:
  // Fills in what the response says of all images.
  virtual void Complete(const FrozenModel& /*model*/, Response* /*response*/) {}

  const Request request_;
  Response response_;

 private:
  const Done done_;
};

class ClassifyCall final : public BatchCall<vit::v1::ClassifyRequest, vit::v1::ClassifyResponse> {
 public:
  using BatchCall::BatchCall;
  void Fill(int index, const std::vector<uint8_t>& prepared, Computed computed) override;
};

class EmbedCall final : public BatchCall<vit::v1::EmbedRequest, vit::v1::EmbedResponse> {
 public:
  EmbedCall(vit::v1::EmbedRequest request, Done done)
      : BatchCall(std::move(request), std::move(done)) {
    work.kind = request_.tokens() ? Work::Kind::kEmbedTokens : Work::Kind::kEmbed;
  }
  void Fill(int index, const std::vector<uint8_t>& /*prepared*/, Computed computed) override {
    response_.mutable_results(index)->mutable_values()->Assign(computed.features.begin(),
                                                               computed.features.end());
  }

 private:
  void Complete(const FrozenModel& of, vit::v1::EmbedResponse* response) override;
};

class ExplainCall final : public Call {
 public:
  using Done = std::function<void(absl::StatusOr<vit::v1::ExplainResponse>)>;
  ExplainCall(vit::v1::ExplainRequest request, Done done)
      : request_(std::move(request)), done_(std::move(done)) {
    work.kind = Work::Kind::kExplain;
    if (request_.has_block()) work.block = request_.block();
  }

  int images() const override { return 1; }
  const std::string& image(int /*index*/) const override { return request_.image(); }

  void Fill(int index, const std::vector<uint8_t>& prepared, Computed computed) override;
  void Fail(int /*index*/, const absl::Status& status) override { status_ = status; }
  void Answer() override {
    if (!status_.ok()) return done_(status_);
    FillIdentity(*model, response_.mutable_model());
    done_(std::move(response_));
  }
  void Refuse(const absl::Status& status) override { done_(status); }

 private:
  const vit::v1::ExplainRequest request_;
  vit::v1::ExplainResponse response_;
  absl::Status status_;
  const Done done_;
};

}  // namespace vit

#endif  // VIT_CORE_INFER_INFERENCE_CALL_H_
