#include "core/infer/inference_engine.h"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "core/base/task_pool.h"
#include "core/infer/batcher.h"
#include "core/infer/frozen_model.h"
#include "core/infer/inference_call.h"
#include "core/infer/model_cache.h"

namespace vit {
namespace {

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
                .max_loaded_models = options.max_loaded_models,
                .warm_up = [this](const FrozenModel& model) { return WarmUp(model); },
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
    cache_.Get(*wanted, [waiter](const absl::StatusOr<std::shared_ptr<const FrozenModel>>& loaded) {
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

  void UnloadRun(const std::string& run) override { cache_.UnloadRun(run); }

  std::map<std::string, int64_t> Loaded() const override { return cache_.Loaded(); }

 private:
  // Libraries prepare themselves for each size of product on each thread, so the threads that serve
  // do it, in turn with calls. On CUDA every size of batch is another; on the CPU an image for each
  // thread and one for all cover most.
  absl::Status WarmUp(const FrozenModel& model) {
    absl::Status status;
    const auto warm_up = [&](int count) {
      if (status.ok()) {
        batcher_.Run([&](ComputeTeam* team) { status = model.WarmUp(count, team); });
      }
    };
    if (options_.device.kind() == Device::Kind::kCuda) {
      for (int count = 1; count <= options_.max_batch_size; ++count) warm_up(count);
    } else {
      warm_up(1);
      warm_up(options_.budget.serving_threads());
    }
    return status;
  }

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
                       options_.max_images_per_request, " are allowed in one request"));
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
      refused = absl::ResourceExhaustedError(absl::StrCat(
          "the queue is full: ", options_.max_queue_size, " images are waiting; retry later"));
    }
    if (!refused.ok()) {
      for (int i = 0; i < std::max(1, count); ++i) {
        TellDone(wanted.ok() ? wanted->name : "unknown", wanted.ok() ? wanted->version() : 0,
                 refused.code(), call->arrival);
      }
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
          " is an encoder without a head and cannot classify; ask for its features (vitctl embed), "
          "or start a run from it, which gives it a head"));
      for (int i = 0; i < count; ++i) {
        TellDone(call->model->name(), call->model->version(), refused.code(), call->arrival);
      }
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
    if (call->cancelled()) {
      return Finish(call, index, {}, absl::CancelledError("the call was cancelled"));
    }
    if (call->deadline <= options_.clock->Now()) {
      return Finish(call, index, {},
                    absl::DeadlineExceededError("the deadline passed in the queue"));
    }
    absl::StatusOr<std::vector<uint8_t>> prepared =
        call->model->Prepare(call->image(index), options_.limits);
    if (!prepared.ok()) return Finish(call, index, {}, prepared.status());
    // Explain shows the image next to the answer; nothing else needs it again.
    const bool keep = call->work.kind == Work::Kind::kExplain;
    batcher_.Submit({.model = call->model,
                     .work = call->work,
                     .prepared = keep ? *prepared : std::move(*prepared),
                     .deadline = call->deadline,
                     .cancelled = call->cancelled,
                     .done = [this, call, index, image = keep ? *prepared : std::vector<uint8_t>()](
                                 absl::StatusOr<Computed> computed) {
                       Finish(call, index, image, std::move(computed));
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
  std::atomic<int> in_flight_{0};  // images
  // Destroyed from the last to the first: then no model is handed out any more, no image decoded,
  // none computed.
  Batcher batcher_;
  TaskPool decoders_;
  ModelCache cache_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<InferenceEngine>> InferenceEngine::Create(ModelSource* source,
                                                                         const Options& options) {
  if (options.max_batch_size < 1 || options.max_queue_size < 1 ||
      options.max_images_per_request < 1 || options.max_loaded_models < 1 ||
      options.max_queue_delay < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        "max_batch_size, max_queue_size, max_images_per_request and max_loaded_models must be at "
        "least 1, max_queue_delay at least 0");
  }
  return std::make_unique<Engine>(source, options);
}

}  // namespace vit
