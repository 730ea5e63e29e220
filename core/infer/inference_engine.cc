#include "core/infer/inference_engine.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "core/base/task_pool.h"
#include "core/infer/batcher.h"
#include "core/infer/frozen_model.h"
#include "core/infer/heat_map.h"
#include "core/infer/model_cache.h"
#include "core/model/model_config.h"

namespace vit {
namespace {

constexpr int kDefaultTopK = 5;
constexpr int kExplainedClasses = 5;

// Adds the `top_k` most probable classes, best first, to a message with `classes`.
template <typename Message>
void FillTopK(const std::vector<float>& probabilities, const std::vector<std::string>& labels,
              int top_k, Message* message) {
  std::vector<int> order(probabilities.size());
  std::iota(order.begin(), order.end(), 0);
  const auto count = std::min<size_t>(top_k, order.size());
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](int a, int b) {
    return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
  });
  for (size_t i = 0; i < count; ++i) {
    auto* score = message->add_classes();
    score->set_index(order[i]);
    score->set_label(labels[order[i]]);
    score->set_probability(probabilities[order[i]]);
  }
}

void FillIdentity(const FrozenModel& model, vit::v1::ModelIdentity* identity) {
  identity->set_model(model.name());
  identity->set_run(model.source().run);
  identity->set_step(model.source().step);
  if (!model.source().ref.is_run()) identity->set_version(model.version());
}

// One request on its way. Its pictures finish in any order, on any thread; the last one answers.
class Call {
 public:
  virtual ~Call() = default;

  virtual int images() const = 0;
  virtual const std::string& image(int index) const = 0;
  // The picture's answer; each index once. `prepared`: as it went into the model.
  virtual void Fill(int index, const std::vector<uint8_t>& prepared, Computed computed) = 0;
  virtual void Fail(int index, const absl::Status& status) = 0;
  // Ends the request: with what the pictures came to, or as a whole.
  virtual void Answer() = 0;
  virtual void Refuse(const absl::Status& status) = 0;

  Work work;
  std::string model_name;
  absl::Time arrival, deadline;
  std::function<bool()> cancelled;
  std::shared_ptr<const FrozenModel> model;
  std::atomic<int> left{0};
};

// A request with pictures and a response with as many results.
template <typename Request, typename Response>
class BatchCall : public Call {
 public:
  using Done = std::function<void(absl::StatusOr<Response>)>;
  BatchCall(Request request, Done done) : request_(std::move(request)), done_(std::move(done)) {
    // Made beforehand: each picture fills its own.
    for (int i = 0; i < request_.images_size(); ++i) response_.add_results();
  }

  int images() const override { return request_.images_size(); }
  const std::string& image(int index) const override { return request_.images(index); }

  void Fail(int index, const absl::Status& status) override {
    response_.mutable_results(index)->set_code(static_cast<int>(status.code()));
    response_.mutable_results(index)->set_error(std::string(status.message()));
  }

  // A request fails as a whole where its only picture does, and where no picture was computed for
  // want of time.
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
  // What the response says of all pictures.
  virtual void Complete(const FrozenModel& /*model*/, Response* /*response*/) {}

  const Request request_;
  Response response_;

 private:
  const Done done_;
};

class ClassifyCall final : public BatchCall<vit::v1::ClassifyRequest, vit::v1::ClassifyResponse> {
 public:
  using BatchCall::BatchCall;
  void Fill(int index, const std::vector<uint8_t>& /*prepared*/, Computed computed) override {
    FillTopK(computed.probabilities, model->labels(),
             request_.top_k() > 0 ? request_.top_k() : kDefaultTopK,
             response_.mutable_results(index));
  }
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
  void Complete(const FrozenModel& of, vit::v1::EmbedResponse* response) override {
    const bool tokens = request_.tokens();
    response->set_tokens(tokens ? static_cast<int>(TokenCount(of.config())) : 1);
    response->set_features(tokens ? of.config().embed_dim()
                                  : static_cast<int>(PooledFeatures(of.config())));
  }
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

  void Fill(int /*index*/, const std::vector<uint8_t>& prepared, Computed computed) override {
    const vit::v1::ModelConfig& config = model->config();
    response_.set_rows(config.image_size() / config.patch_size());
    response_.set_columns(config.image_size() / config.patch_width());
    response_.set_heads(config.num_heads());
    response_.set_tokens(static_cast<int>(TokenCount(config)));
    FillTopK(computed.probabilities, model->labels(), kExplainedClasses, &response_);
    absl::StatusOr<std::string> map = RenderHeatMap(
        prepared, config.image_size(), computed.relevance, response_.rows(), response_.columns());
    if (!map.ok()) return Fail(0, map.status());
    response_.set_heat_map(*std::move(map));
    response_.mutable_relevance()->Assign(computed.relevance.begin(), computed.relevance.end());
    response_.mutable_attention()->Assign(computed.attention.begin(), computed.attention.end());
  }
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

class Engine : public InferenceEngine {
 public:
  Engine(ModelSource* source, const Options& options)
      : source_(source),
        options_(options),
        batcher_({.max_batch_size = options.max_batch_size,
                  .max_queue_delay = options.max_queue_delay,
                  .threads = options.budget.serving_threads(),
                  .observer = options.observer,
                  .on_failure = options.on_failure,
                  .clock = options.clock}),
        decoders_("decode", options.budget.decode_threads(), options.max_queue_size),
        cache_({.device = options.device,
                .load_threads = options.budget.serving_threads(),
                .max_batch_size = options.max_batch_size,
                .max_loaded_models = options.max_loaded_models,
                .observer = options.observer,
                .on_failure = options.on_failure,
                .clock = options.clock}) {}

  void Classify(vit::v1::ClassifyRequest request, absl::Time deadline,
                std::function<bool()> cancelled,
                std::function<void(absl::StatusOr<vit::v1::ClassifyResponse>)> done) override {
    absl::Status status;
    if (request.top_k() < 0) {
      status = absl::InvalidArgumentError(
          absl::StrCat("top_k is ", request.top_k(), "; expected at least 0"));
    }
    const std::string model = request.model();
    Start(std::make_shared<ClassifyCall>(std::move(request), std::move(done)), model, deadline,
          std::move(cancelled), std::move(status));
  }

  void Embed(vit::v1::EmbedRequest request, absl::Time deadline, std::function<bool()> cancelled,
             std::function<void(absl::StatusOr<vit::v1::EmbedResponse>)> done) override {
    const std::string model = request.model();
    Start(std::make_shared<EmbedCall>(std::move(request), std::move(done)), model, deadline,
          std::move(cancelled), absl::OkStatus());
  }

  void Explain(vit::v1::ExplainRequest request, absl::Time deadline,
               std::function<bool()> cancelled,
               std::function<void(absl::StatusOr<vit::v1::ExplainResponse>)> done) override {
    absl::Status status;
    if (request.has_block() && request.block() < 0) {
      status = absl::InvalidArgumentError(
          absl::StrCat("block is ", request.block(), "; blocks count from 0"));
    }
    const std::string model = request.model();
    Start(std::make_shared<ExplainCall>(std::move(request), std::move(done)), model, deadline,
          std::move(cancelled), std::move(status));
  }

  absl::Status Preload(const std::string& model) override {
    const absl::StatusOr<ServableModel> wanted = Find(model);
    if (!wanted.ok()) return wanted.status();
    struct Waiter {
      Mutex mu;
      CondVar changed;
      bool finished VIT_GUARDED_BY(mu) = false;
      absl::Status status VIT_GUARDED_BY(mu);
    };
    auto waiter = std::make_shared<Waiter>();
    cache_.Get(*wanted, [waiter](absl::StatusOr<std::shared_ptr<const FrozenModel>> loaded) {
      MutexLock lock(&waiter->mu);
      waiter->finished = true;
      waiter->status = loaded.status();
      waiter->changed.NotifyAll();
    });
    MutexLock lock(&waiter->mu);
    while (!waiter->finished) waiter->changed.Wait(&waiter->mu);
    return waiter->status;
  }

  void Unload(const std::string& name) override { cache_.Unload(name); }

  std::map<std::string, int64_t> Loaded() const override { return cache_.Loaded(); }

 private:
  absl::StatusOr<ServableModel> Find(const std::string& model) const {
    VIT_ASSIGN_OR_RETURN(const ModelRef ref, ModelRef::Parse(model));
    return source_->Find(ref);
  }

  absl::Status CheckImages(const Call& call) const {
    if (call.images() == 0) {
      return absl::InvalidArgumentError(
          "images is empty; send at least one JPEG, PNG, WebP or BMP file");
    }
    if (call.images() > options_.max_images_per_request) {
      return absl::InvalidArgumentError(
          absl::StrCat("images has ", call.images(), " entries; at most ",
                       options_.max_images_per_request, " are taken in one request"));
    }
    return absl::OkStatus();
  }

  void TellDone(const std::string& model, int64_t version, absl::StatusCode code,
                absl::Time arrival) {
    if (options_.observer != nullptr) {
      options_.observer->OnImageDone(model, version, code, options_.clock->Now() - arrival);
    }
  }

  // `refused`: what is wrong with the request itself.
  void Start(const std::shared_ptr<Call>& call, const std::string& model, absl::Time deadline,
             std::function<bool()> cancelled, absl::Status refused) {
    call->arrival = options_.clock->Now();
    call->deadline = deadline;
    call->cancelled = std::move(cancelled);
    const int count = call->images();
    if (refused.ok()) refused = CheckImages(*call);
    absl::StatusOr<ServableModel> wanted = absl::UnknownError("");
    if (refused.ok()) {
      wanted = Find(model);
      refused = wanted.status();
    }
    if (refused.ok() && in_flight_.fetch_add(count) + count > options_.max_queue_size) {
      in_flight_.fetch_sub(count);
      refused =
          absl::ResourceExhaustedError(absl::StrCat("the queue is full: ", options_.max_queue_size,
                                                    " pictures wait already; try again later"));
    }
    if (!refused.ok()) {
      for (int i = 0; i < std::max(1, count); ++i)
        TellDone(wanted.ok() ? wanted->name : "unknown", wanted.ok() ? wanted->version() : 0,
                 refused.code(), call->arrival);
      call->Refuse(refused);
      return;
    }
    call->left = count;
    cache_.Get(*wanted, [this, call, name = wanted->name](
                            absl::StatusOr<std::shared_ptr<const FrozenModel>> found) {
      if (!found.ok()) {
        const int images = call->images();
        for (int i = 0; i < images; ++i) TellDone(name, 0, found.status().code(), call->arrival);
        in_flight_.fetch_sub(images);
        call->Refuse(found.status());
        return;
      }
      Begin(call, *std::move(found));
    });
  }

  void Begin(const std::shared_ptr<Call>& call, std::shared_ptr<const FrozenModel> model) {
    call->model = std::move(model);
    const int count = call->images();
    const bool classifies =
        call->work.kind == Work::Kind::kClassify || call->work.kind == Work::Kind::kExplain;
    if (classifies && call->model->config().num_classes() == 0) {
      const absl::Status refused = absl::FailedPreconditionError(absl::StrCat(
          call->model->name(),
          " is an encoder without a head and tells no classes; ask for its features (vitctl "
          "embed), or start a run from it, which gives it a head"));
      for (int i = 0; i < count; ++i)
        TellDone(call->model->name(), call->model->version(), refused.code(), call->arrival);
      in_flight_.fetch_sub(count);
      call->Refuse(refused);
      return;
    }
    for (int i = 0; i < count; ++i) {
      const absl::Status queued = decoders_.Run([this, call, i] { Prepare(call, i); });
      if (!queued.ok()) Finish(call, i, {}, queued);
    }
  }

  void Prepare(const std::shared_ptr<Call>& call, int index) {
    if (call->cancelled())
      return Finish(call, index, {}, absl::CancelledError("the caller has gone"));
    if (call->deadline <= options_.clock->Now()) {
      return Finish(call, index, {},
                    absl::DeadlineExceededError("the deadline passed in the queue"));
    }
    absl::StatusOr<std::vector<uint8_t>> prepared =
        call->model->Prepare(call->image(index), options_.limits);
    if (!prepared.ok()) return Finish(call, index, {}, prepared.status());
    // What is shown beside the answer; nothing else looks at the picture again.
    const bool keep = call->work.kind == Work::Kind::kExplain;
    batcher_.Submit(
        {.model = call->model,
         .work = call->work,
         .prepared = keep ? *prepared : std::move(*prepared),
         .deadline = call->deadline,
         .cancelled = call->cancelled,
         .done = [this, call, index, picture = keep ? *prepared : std::vector<uint8_t>()](
                     absl::StatusOr<Computed> computed) {
           Finish(call, index, picture, std::move(computed));
         }});
  }

  void Finish(const std::shared_ptr<Call>& call, int index, const std::vector<uint8_t>& prepared,
              absl::StatusOr<Computed> computed) {
    const absl::StatusCode code = computed.status().code();
    if (computed.ok()) {
      call->Fill(index, prepared, *std::move(computed));
    } else {
      call->Fail(index, computed.status());
    }
    TellDone(call->model->name(), call->model->version(), code, call->arrival);
    in_flight_.fetch_sub(1);
    if (call->left.fetch_sub(1) == 1) call->Answer();
  }

  ModelSource* const source_;
  const Options options_;
  std::atomic<int> in_flight_{0};  // pictures
  // Destroyed from the last: no model is handed out any more, then no picture decoded, then none
  // computed.
  Batcher batcher_;
  TaskPool decoders_;
  ModelCache cache_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<InferenceEngine>> InferenceEngine::Create(ModelSource* source,
                                                                         Options options) {
  if (options.max_batch_size < 1 || options.max_queue_size < 1 ||
      options.max_images_per_request < 1 || options.max_loaded_models < 1 ||
      options.max_queue_delay < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        "max_batch_size, max_queue_size, max_images_per_request and max_loaded_models must be at "
        "least 1, "
        "max_queue_delay at least 0");
  }
  return std::make_unique<Engine>(source, options);
}

}  // namespace vit
