#include "core/infer/inference_engine.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/base/task_pool.h"
#include "core/infer/batcher.h"
#include "core/infer/frozen_model.h"
#include "core/infer/model_cache.h"

namespace vit {
namespace {

using ::vit::v1::ClassifyRequest;
using ::vit::v1::ClassifyResponse;
using ::vit::v1::ImageResult;

constexpr int kDefaultTopK = 5;

void FillTopK(const std::vector<float>& probabilities, const std::vector<std::string>& labels,
              int top_k, ImageResult* result) {
  std::vector<int> order(probabilities.size());
  std::iota(order.begin(), order.end(), 0);
  const auto count = std::min<size_t>(top_k, order.size());
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](int a, int b) {
    return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
  });
  for (size_t i = 0; i < count; ++i) {
    auto* score = result->add_classes();
    score->set_index(order[i]);
    score->set_label(labels[order[i]]);
    score->set_probability(probabilities[order[i]]);
  }
}

// One request on its way. Its pictures finish in any order, on any thread; the last one answers.
struct Call {
  ClassifyRequest request;
  absl::Time arrival, deadline;
  int top_k;
  std::function<bool()> cancelled;
  std::function<void(absl::StatusOr<ClassifyResponse>)> done;
  std::shared_ptr<const FrozenModel> model;
  ClassifyResponse response;  // results are made beforehand: each picture fills its own
  std::atomic<int> left;
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
                  .clock = options.clock}),
        decoders_("decode", options.budget.decode_threads(), options.max_queue_size),
        cache_({.device = options.device,
                .load_threads = options.budget.serving_threads(),
                .max_loaded_models = options.max_loaded_models,
                .observer = options.observer,
                .clock = options.clock}) {}

  void Classify(ClassifyRequest request, absl::Time deadline, std::function<bool()> cancelled,
                std::function<void(absl::StatusOr<ClassifyResponse>)> done) override {
    const absl::Time arrival = options_.clock->Now();
    const int count = request.images_size();
    absl::Status refused = CheckRequest(request);
    absl::StatusOr<ServableModel> wanted = absl::UnknownError("");
    if (refused.ok()) {
      wanted = source_->FindModel(request.model());
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
        TellDone(wanted.ok() ? wanted->name : "unknown", wanted.ok() ? wanted->version : 0,
                 refused.code(), arrival);
      done(std::move(refused));
      return;
    }
    auto call = std::make_shared<Call>();
    call->top_k = request.top_k() > 0 ? request.top_k() : kDefaultTopK;
    call->request = std::move(request);
    call->arrival = arrival;
    call->deadline = deadline;
    call->cancelled = std::move(cancelled);
    call->done = std::move(done);
    call->left = count;
    for (int i = 0; i < count; ++i) call->response.add_results();
    cache_.Get(*wanted, [this, call, name = wanted->name](
                            absl::StatusOr<std::shared_ptr<const FrozenModel>> model) {
      if (!model.ok()) {
        const int images = call->request.images_size();
        for (int i = 0; i < images; ++i) TellDone(name, 0, model.status().code(), call->arrival);
        in_flight_.fetch_sub(images);
        call->done(model.status());
        return;
      }
      Begin(call, *std::move(model));
    });
  }

  absl::Status Preload(const std::string& model) override {
    absl::StatusOr<ServableModel> wanted = source_->FindModel(model);
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
  absl::Status CheckRequest(const ClassifyRequest& request) const {
    if (request.images_size() == 0) {
      return absl::InvalidArgumentError(
          "images is empty; send at least one JPEG, PNG, WebP or BMP file");
    }
    if (request.images_size() > options_.max_images_per_request) {
      return absl::InvalidArgumentError(
          absl::StrCat("images has ", request.images_size(), " entries; at most ",
                       options_.max_images_per_request, " are taken in one request"));
    }
    if (request.top_k() < 0)
      return absl::InvalidArgumentError(
          absl::StrCat("top_k is ", request.top_k(), "; expected at least 0"));
    return absl::OkStatus();
  }

  void TellDone(const std::string& model, int64_t version, absl::StatusCode code,
                absl::Time arrival) {
    if (options_.observer != nullptr) {
      options_.observer->OnImageDone(model, version, code, options_.clock->Now() - arrival);
    }
  }

  void Begin(const std::shared_ptr<Call>& call, std::shared_ptr<const FrozenModel> model) {
    call->model = std::move(model);
    auto* identity = call->response.mutable_model();
    identity->set_model(call->model->name());
    identity->set_run(call->model->source().run);
    identity->set_step(call->model->source().step);
    if (call->model->source().in_repository) identity->set_version(call->model->version());
    for (int i = 0; i < call->request.images_size(); ++i) {
      const absl::Status queued = decoders_.Run([this, call, i] { Prepare(call, i); });
      if (!queued.ok()) Finish(call, i, queued);
    }
  }

  void Prepare(const std::shared_ptr<Call>& call, int index) {
    if (call->cancelled()) return Finish(call, index, absl::CancelledError("the caller has gone"));
    if (call->deadline <= options_.clock->Now()) {
      return Finish(call, index, absl::DeadlineExceededError("the deadline passed in the queue"));
    }
    absl::StatusOr<std::vector<uint8_t>> prepared =
        call->model->Prepare(call->request.images(index), options_.limits);
    if (!prepared.ok()) return Finish(call, index, prepared.status());
    batcher_.Submit({.model = call->model,
                     .prepared = *std::move(prepared),
                     .deadline = call->deadline,
                     .cancelled = call->cancelled,
                     .done = [this, call, index](absl::StatusOr<std::vector<float>> probabilities) {
                       Finish(call, index, std::move(probabilities));
                     }});
  }

  void Finish(const std::shared_ptr<Call>& call, int index,
              absl::StatusOr<std::vector<float>> probabilities) {
    ImageResult* const result = call->response.mutable_results(index);
    if (probabilities.ok()) {
      FillTopK(*probabilities, call->model->labels(), call->top_k, result);
    } else {
      result->set_code(static_cast<int>(probabilities.status().code()));
      result->set_error(std::string(probabilities.status().message()));
    }
    TellDone(call->model->name(), call->model->version(), probabilities.status().code(),
             call->arrival);
    in_flight_.fetch_sub(1);
    if (call->left.fetch_sub(1) > 1) return;
    Answer(*call);
  }

  // A request fails as a whole where its only picture does, and where no picture was computed for
  // want of time.
  static void Answer(Call& call) {
    const ImageResult& first = call.response.results(0);
    const auto code = static_cast<absl::StatusCode>(first.code());
    const bool whole =
        call.response.results_size() == 1 || code == absl::StatusCode::kDeadlineExceeded ||
        code == absl::StatusCode::kCancelled || code == absl::StatusCode::kUnavailable;
    const bool all_failed =
        std::all_of(call.response.results().begin(), call.response.results().end(),
                    [](const ImageResult& r) { return r.code() != 0; });
    if (whole && all_failed) {
      call.done(absl::Status(code, first.error()));
    } else {
      call.done(std::move(call.response));
    }
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
