#include "core/infer/inference_engine.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "core/base/task_pool.h"
#include "core/infer/batcher.h"
#include "core/infer/inference_call.h"
#include "core/infer/model_cache.h"

namespace vit {
namespace {

using Call = InferenceCall;

TaskPriority ToPriority(vit::v1::Priority priority) {
  switch (priority) {
    case vit::v1::PRIORITY_HIGH:
      return TaskPriority::kHigh;
    case vit::v1::PRIORITY_LOW:
      return TaskPriority::kLow;
    default:
      return TaskPriority::kNormal;
  }
}

absl::Status WhyEvicted(Eviction why) {
  switch (why) {
    case Eviction::kDeadline:
      return absl::DeadlineExceededError("the deadline passed in the queue");
    case Eviction::kCancelled:
      return absl::CancelledError("the call was cancelled");
    case Eviction::kShutdown:
      break;
  }
  return absl::UnavailableError("vitd is shutting down; retry later");
}

class Engine : public InferenceEngine {
 public:
  Engine(ModelSource* source, const Options& options)
      : source_(source),
        options_(options),
        observer_({options.observer}),
        admission_(options.queue),
        decoders_("decode", options.budget.decode_threads(), options.queue.max_images),
        cache_({.device = options.device,
                .load_threads = options.budget.serving_threads(),
                .max_loaded_models = options.max_loaded_models,
                .warm_up = [this](const FrozenModel& model) { return WarmUp(model); },
                .observer = options.observer,
                .on_failure = options.on_failure,
                .clock = options.clock}) {}

  absl::Status Start() {
    VIT_ASSIGN_OR_RETURN(
        batcher_,
        Batcher<ImageTask>::Create(
            {.max_batch_size = options_.max_batch_size,
             .max_queue_delay = options_.max_queue_delay,
             // A GPU computes one batch at a time, the larger the better.
             .threads = options_.device.kind() == Device::Kind::kCuda
                            ? 1
                            : options_.budget.serving_threads(),
             .compute = [this](std::vector<ImageTask> batch,
                               ComputeTeam* team) { return Compute(std::move(batch), team); },
             .evict = [this](const ImageTask& task,
                             Eviction why) { Evict(task.call, task.index, why); },
             .on_depth = [this](const std::string& model,
                                int depth) { observer_.OnQueueDepth(model, depth); },
             .clock = options_.clock}));
    return absl::OkStatus();
  }

  void Infer(InferenceRequest request,
             std::function<void(absl::StatusOr<InferenceAnswer>)> done) override {
    absl::Status refused = CheckImages(request);
    absl::StatusOr<ServableModel> wanted = absl::UnknownError("");
    if (refused.ok()) {
      wanted = Find(request.model);
      refused = wanted.status();
    }
    const int count = static_cast<int>(request.images.size());
    Admission::Demand demand = {.model = wanted.ok() ? wanted->name : "unknown",
                                .images = count,
                                .priority = ToPriority(request.priority)};
    for (const ImageInput& image : request.images) {
      demand.bytes += static_cast<int64_t>(image.data.size());
    }
    const absl::Time now = options_.clock->Now();
    if (request.deadline == absl::InfiniteFuture()) {
      request.deadline = now + options_.default_timeout;
    }
    if (refused.ok()) refused = Admit(demand, now, request.deadline);
    if (!refused.ok()) {
      return RefuseAs(demand.model, wanted.ok() ? wanted->version() : 0, count, refused, done);
    }
    auto call = std::make_shared<Call>();
    call->request = std::move(request);
    call->done = std::move(done);
    call->arrival = now;
    call->demand = std::move(demand);
    call->results.resize(count, absl::UnknownError(""));
    call->left = count;
    cache_.Get(*wanted, [this, call](absl::StatusOr<std::shared_ptr<const FrozenModel>> found) {
      if (!found.ok()) return RefuseCall(call, 0, found.status());
      Begin(call, *std::move(found));
    });
  }

  void Load(const std::string& model,
            std::function<void(absl::StatusOr<std::shared_ptr<const FrozenModel>>)> done) override {
    const absl::StatusOr<ServableModel> wanted = Find(model);
    if (!wanted.ok()) return done(wanted.status());
    cache_.Get(*wanted, std::move(done));
  }

  absl::Status Preload(const std::string& model) override {
    struct Waiter {
      Mutex mu;
      CondVar changed;
      bool finished VIT_GUARDED_BY(mu) = false;
      absl::Status status VIT_GUARDED_BY(mu);
    };
    auto waiter = std::make_shared<Waiter>();
    Load(model, [waiter](const absl::StatusOr<std::shared_ptr<const FrozenModel>>& loaded) {
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
  // do it, in turn with calls. On the CPU an image for each thread and one for all cover most; on
  // CUDA every size of batch is recorded.
  absl::Status WarmUp(const FrozenModel& model) {
    absl::Status status;
    batcher_->RunOnEach([&](ComputeTeam* team) {
      const auto warm_up = [&](int count) {
        if (status.ok()) status = model.WarmUp(count, team);
      };
      if (options_.device.kind() == Device::Kind::kCuda) {
        for (int count = 1; count <= options_.max_batch_size; ++count) warm_up(count);
      } else {
        warm_up(1);
        warm_up(options_.budget.serving_threads());
      }
    });
    return status;
  }

  absl::StatusOr<ServableModel> Find(const std::string& model) const {
    VIT_ASSIGN_OR_RETURN(const ModelRef ref, ModelRef::Parse(model));
    return source_->Find(ref);
  }

  absl::Status CheckImages(const InferenceRequest& request) const {
    if (request.images.empty()) {
      return absl::InvalidArgumentError(
          "images is empty; send at least one JPEG, PNG, WebP or BMP file");
    }
    if (std::ssize(request.images) > options_.max_images_per_request) {
      return absl::InvalidArgumentError(
          absl::StrCat("images has ", request.images.size(), " entries; at most ",
                       options_.max_images_per_request, " are allowed in one request"));
    }
    return absl::OkStatus();
  }

  absl::Status Admit(const Admission::Demand& demand, absl::Time now, absl::Time deadline) {
    VIT_RETURN_IF_ERROR(admission_.Admit(demand, now, deadline));
    if (options_.objective != nullptr) options_.objective->OnArrived(demand.images);
    return absl::OkStatus();
  }
  void Release(const Call& call) {
    admission_.Release(call.demand);
    if (options_.objective != nullptr) options_.objective->OnLeft(call.demand.images);
  }

  void Refuse(const InferenceRequest& request, const absl::Status& why,
              const std::function<void(const absl::Status&)>& done) override {
    const absl::StatusOr<ServableModel> wanted = Find(request.model);
    RefuseAs(wanted.ok() ? wanted->name : "unknown", wanted.ok() ? wanted->version() : 0,
             static_cast<int>(request.images.size()), why, done);
  }

  // Answers a request that was not admitted.
  void RefuseAs(const std::string& model, int64_t version, int images, const absl::Status& why,
                const std::function<void(const absl::Status&)>& done) {
    for (int i = 0; i < std::max(1, images); ++i) {
      observer_.OnImageDone(model, version, why.code(), absl::ZeroDuration());
    }
    done(why);
  }

  // Answers an admitted call of which no image was begun.
  void RefuseCall(const std::shared_ptr<Call>& call, int64_t version, const absl::Status& why) {
    const int count = static_cast<int>(call->request.images.size());
    const absl::Duration total = options_.clock->Now() - call->arrival;
    for (int i = 0; i < count; ++i) {
      observer_.OnImageDone(call->demand.model, version, why.code(), total);
    }
    Release(*call);
    call->done(why);
  }

  void Begin(const std::shared_ptr<Call>& call, std::shared_ptr<const FrozenModel> model) {
    call->model = std::move(model);
    const Work::Kind kind = call->request.work.kind;
    if (kind != Work::Kind::kEmbed && kind != Work::Kind::kEmbedTokens &&
        call->model->config().num_classes() == 0) {
      return RefuseCall(
          call, call->model->version(),
          absl::FailedPreconditionError(absl::StrCat(
              call->model->name(),
              " is an encoder without a head and cannot classify; ask for its features (vitctl "
              "embed), or start a run from it, which gives it a head")));
    }
    call->on_cancel.emplace(call->request.cancelled,
                            [batcher = batcher_.get()] { batcher->EvictGivenUp(); });
    const int count = static_cast<int>(call->request.images.size());
    batcher_->Expect(count);
    for (int i = 0; i < count; ++i) {
      const absl::Status queued = decoders_.Run(
          [this, call, i] {
            std::optional<ImageTask> task = Prepare(call, i);
            batcher_->Expect(-1);
            if (task) batcher_->Submit(*std::move(task));
          },
          call->demand.priority);
      if (queued.ok()) continue;
      batcher_->Expect(-1);
      Finish(call, i, queued);
    }
  }

  // Returns the image to be computed, or answers it if it cannot be.
  std::optional<ImageTask> Prepare(const std::shared_ptr<Call>& call, int index) {
    const InferenceRequest& request = call->request;
    const absl::Time start = options_.clock->Now();
    if (request.cancelled.stop_requested() || request.deadline <= start) {
      Evict(call, index, request.deadline <= start ? Eviction::kDeadline : Eviction::kCancelled);
      return std::nullopt;
    }
    absl::StatusOr<PreparedImage> prepared =
        call->model->Prepare(request.images[index], options_.prepare);
    const absl::Time end = options_.clock->Now();
    observer_.OnDecoded(call->model->name(), call->model->version(), end - start);
    if (!prepared.ok()) {
      Finish(call, index, prepared.status());
      return std::nullopt;
    }
    return ImageTask{.kind = {call->model.get(), request.work},
                     .priority = call->demand.priority,
                     .deadline = request.deadline,
                     .cancelled = request.cancelled,
                     .arrival = end,
                     .call = call,
                     .index = index,
                     .image = *std::move(prepared)};
  }

  // Called by the batcher. Returns what answers the images.
  std::function<void()> Compute(std::vector<ImageTask> batch, ComputeTeam* team) {
    const FrozenModel& model = *batch.front().kind.model;
    const absl::Time start = options_.clock->Now();
    std::vector<const PreparedImage*> images;
    images.reserve(batch.size());
    for (const ImageTask& task : batch) {
      observer_.OnQueued(model.name(), model.version(), start - task.arrival);
      images.push_back(&task.image);
    }
    auto computed = model.Compute(batch.front().kind.work, images, team);
    const absl::Time end = options_.clock->Now();
    const int size = static_cast<int>(batch.size());
    observer_.OnBatch(model.name(), model.version(), size, end - start);
    admission_.OnBatch(model.name(), size, end);
    if (options_.objective != nullptr) {
      for (const ImageTask& task : batch) options_.objective->OnServed(end - task.arrival);
    }
    return [this, batch = std::move(batch), computed = std::move(computed)]() mutable {
      if (!computed.ok()) options_.on_failure(computed.status());
      for (size_t i = 0; i < batch.size(); ++i) {
        if (!computed.ok()) {
          Finish(batch[i].call, batch[i].index, computed.status());
          continue;
        }
        Computed& result = (*computed)[i];
        // Explain shows the image next to the answer; nothing else needs it again.
        if (batch[i].kind.work.kind == Work::Kind::kExplain) {
          result.image = std::move(batch[i].image);
        }
        Finish(batch[i].call, batch[i].index, std::move(result));
      }
    };
  }

  void Evict(const std::shared_ptr<Call>& call, int index, Eviction why) {
    observer_.OnEvicted(call->model->name(), call->model->version(), why);
    Finish(call, index, WhyEvicted(why));
  }

  void Finish(const std::shared_ptr<Call>& call, int index, absl::StatusOr<Computed> result) {
    observer_.OnImageDone(call->model->name(), call->model->version(), result.status().code(),
                          options_.clock->Now() - call->arrival);
    call->results[index] = std::move(result);
    if (call->left.fetch_sub(1) == 1) Answer(call.get());
  }

  // A request fails as a whole if its only image fails, or if no image could be computed in time.
  void Answer(Call* call) {
    call->on_cancel.reset();
    Release(*call);
    const absl::Status& first = call->results.front().status();
    const bool whole = call->results.size() == 1 || absl::IsDeadlineExceeded(first) ||
                       absl::IsCancelled(first) || absl::IsUnavailable(first);
    const bool all_failed = std::all_of(call->results.begin(), call->results.end(),
                                        [](const auto& result) { return !result.ok(); });
    if (whole && all_failed) return call->done(first);
    InferenceAnswer answer = {call->model, {}};
    answer.results.swap(call->results);
    call->done(std::move(answer));
  }

  ModelSource* const source_;
  const Options options_;
  InferenceObservers observer_;
  Admission admission_;
  // Destroyed from the last to the first: then no model is handed out any more, no image decoded,
  // none computed.
  std::unique_ptr<Batcher<ImageTask>> batcher_;
  TaskPool decoders_;
  ModelCache cache_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<InferenceEngine>> InferenceEngine::Create(ModelSource* source,
                                                                         const Options& options) {
  for (const auto& [name, value] :
       {std::pair<const char*, int64_t>("max_images", options.queue.max_images),
        {"max_images_per_model", options.queue.max_images_per_model},
        {"max_bytes", options.queue.max_bytes},
        {"max_images_per_request", options.max_images_per_request},
        {"max_loaded_models", options.max_loaded_models}}) {
    if (value < 1) {
      return absl::InvalidArgumentError(absl::StrCat(name, " is ", value, "; expected at least 1"));
    }
  }
  if (options.default_timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("default_timeout must be above 0");
  }
  auto engine = std::make_unique<Engine>(source, options);
  VIT_RETURN_IF_ERROR(engine->Start());
  return engine;
}

}  // namespace vit
