#include "core/train/trainer.h"

#include <torch/torch.h>

#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/random.h"
#include "core/base/status.h"
#include "core/base/torch_device.h"
#include "core/data/loader.h"
#include "core/model/autocast.h"
#include "core/model/normalize.h"
#include "core/model/vision_transformer.h"
#include "core/train/checkpoint.h"
#include "core/train/checkpoint_writer.h"
#include "core/train/evaluate.h"
#include "core/train/initial_weights.h"
#include "core/train/optimizer.h"
#include "core/train/schedule.h"
#include "core/weights/load_weights.h"
#include "core/weights/safetensors.h"

namespace vit {
namespace {

using ::vit::v1::MetricPoint;

// One run, from its last checkpoint to its end. Lives on the training thread.
class TrainingRun {
 public:
  TrainingRun(const TrainerOptions& options, std::stop_token stop)
      : options_(options),
        spec_(options.resolved.spec),
        stop_(std::move(stop)),
        device_(TorchDevice(options.environment.device)),
        bfloat16_(spec_.precision() == vit::v1::PRECISION_BFLOAT16),
        total_steps_(options.resolved.total_steps),
        steps_per_epoch_(options.resolved.steps_per_epoch),
        warmup_steps_(WarmupSteps(spec_.schedule(), steps_per_epoch_, total_steps_)),
        normalize_(spec_.data(), device_),
        reader_(options.resolved.data, spec_.data(), spec_.model().image_size(),
                [this](const std::string& name, const absl::Status& why) {
                  options_.observer->OnBadImage(name, why, reader_.bad_train_images());
                }),
        model_(spec_.model()),
        writer_(options) {}

  absl::StatusOr<TrainOutcome> Run() {
    options_.observer->OnPhase("preparing data", 0);
    VIT_RETURN_IF_ERROR(Prepare());
    if (state_.evaluation_due) VIT_RETURN_IF_ERROR(EvaluateStep());
    if (!stop_.stop_requested()) {
      options_.observer->OnPhase("training", 0);
      VIT_RETURN_IF_ERROR(TrainSteps());
    }
    // The state at the end, whatever the end is; nothing is written twice.
    VIT_RETURN_IF_ERROR(CheckFinite());
    if (last_checkpoint_step_ != state_.step) TakeCheckpoint();
    writer_.AwaitIdle();
    if (const absl::Status status = writer_.last_status(); !status.ok()) {
      return Annotate(
          status, absl::StrCat("the checkpoint of step ", state_.step, " could not be written"));
    }
    return state_.step == total_steps_ && !state_.evaluation_due ? TrainOutcome::kFinished
                                                                 : TrainOutcome::kStopped;
  }

 private:
  // The model, the optimizer and the position, from the newest sound checkpoint or the beginning.
  absl::Status Prepare() {
    if (spec_.deterministic())
      at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
    std::vector<std::string> notes;
    const std::optional<std::filesystem::path> checkpoint = NewestSoundCheckpoint(&notes);
    if (!checkpoint.has_value()) {
      model_->Initialize(spec_.seed());
      if (spec_.has_init()) {
        VIT_ASSIGN_OR_RETURN(const std::string note,
                             CopyInitialWeights(spec_, options_.environment, *model_));
        if (!note.empty()) notes.push_back(note);
      }
    }
    model_->to(device_);
    model_->train();
    groups_ = FlattenParameters(*model_, spec_.optimizer().weight_decay());
    optimizer_ = Optimizer::Create(spec_.optimizer(), &groups_);
    const auto scalar = at::TensorOptions().device(device_);
    loss_sum_ = at::zeros({}, scalar.dtype(at::kDouble));
    correct_ = at::zeros({}, scalar.dtype(at::kLong));
    bad_step_ = at::full({}, -1, scalar.dtype(at::kLong));
    grad_norm_ = at::zeros({}, scalar.dtype(at::kFloat));
    if (checkpoint.has_value()) VIT_RETURN_IF_ERROR(Restore(*checkpoint, &notes));
    options_.observer->OnStart(state_.step, absl::StrJoin(notes, "; "));
    return absl::OkStatus();
  }

  // Damaged ones are passed over, with a note.
  std::optional<std::filesystem::path> NewestSoundCheckpoint(
      std::vector<std::string>* notes) const {
    const std::vector<vit::v1::CheckpointInfo> all = ListCheckpoints(options_.directory, notes);
    for (auto info = all.rbegin(); info != all.rend(); ++info) {
      const std::filesystem::path path = CheckpointPath(options_.directory, info->step());
      const absl::Status status = VerifyCheckpoint(path);
      if (status.ok()) return path;
      notes->push_back(absl::StrCat("passed over a damaged checkpoint: ", status.message()));
    }
    return std::nullopt;
  }

  absl::Status Restore(const std::filesystem::path& path, std::vector<std::string>* notes) {
    VIT_ASSIGN_OR_RETURN(state_, ReadTrainState(path));
    const std::string& fingerprint = options_.resolved.data->fingerprint();
    if (state_.data_fingerprint != fingerprint) {
      return absl::FailedPreconditionError(
          absl::StrCat("the data of ", spec_.data().source(),
                       " is not what the run began with (names, sizes, classes or split differ: ",
                       state_.data_fingerprint, " then, ", fingerprint,
                       " now); restore the data, or start a new run with --init"));
    }
    VIT_ASSIGN_OR_RETURN(const Safetensors weights, ReadSafetensors(path / "model.safetensors"));
    VIT_RETURN_IF_ERROR(Annotate(LoadWeights(weights.tensors, *model_), path.string()));
    VIT_ASSIGN_OR_RETURN(const Safetensors optimizer,
                         ReadSafetensors(path / "optimizer.safetensors"));
    VIT_RETURN_IF_ERROR(Annotate(optimizer_->LoadState(optimizer.tensors), path.string()));
    loss_sum_.fill_(state_.loss_sum);
    correct_.fill_(state_.correct);
    last_checkpoint_step_ = state_.step;
    // What exact continuation depends on.
    const auto differs = [&](absl::string_view what, const auto& then, const auto& now) {
      if (then != now)
        notes->push_back(absl::StrCat("continues inexactly: ", what, " was ", then, ", is ", now));
    };
    differs("the device", state_.device_model, options_.environment.device.model_name());
    differs("LibTorch", state_.torch_version, TorchVersion());
    differs("the number of compute threads", state_.compute_threads, spec_.compute_threads());
    if (device_.is_cuda() && !spec_.deterministic()) {
      notes->push_back("continues inexactly: deterministic is false and the device is CUDA");
    }
    return absl::OkStatus();
  }

  absl::Status TrainSteps() {
    if (state_.step >= total_steps_) return absl::OkStatus();
    TrainLoader loader(&reader_, {.seed = spec_.seed(),
                                  .batch_size = spec_.batch_size(),
                                  .first_step = state_.step,
                                  .threads = spec_.data().loader_threads(),
                                  .prefetch_batches = spec_.data().prefetch_batches()});
    last_point_time_ = options_.clock->Now();
    while (state_.step < total_steps_ && !stop_.stop_requested()) {
      TrainObserver::Step report;
      const absl::Time start = options_.clock->Now();
      absl::StatusOr<Batch> batch = loader.Next(stop_);
      if (absl::IsCancelled(batch.status()) && stop_.stop_requested()) break;
      VIT_RETURN_IF_ERROR(batch.status());
      const absl::Time loaded = options_.clock->Now();
      TrainStep(*batch);
      ++state_.step;
      state_.accuracy.reset();
      state_.loss.reset();
      state_.samples += static_cast<int64_t>(batch->labels.size());
      samples_since_point_ += static_cast<int64_t>(batch->labels.size());
      const absl::Time computed = options_.clock->Now();
      VIT_RETURN_IF_ERROR(EndOfStep());
      report.step = state_.step;
      report.samples = static_cast<int>(batch->labels.size());
      report.data_wait = loaded - start;
      report.compute = computed - loaded;
      report.checkpoint = std::exchange(checkpoint_time_, absl::ZeroDuration());
      options_.observer->OnStep(report);
    }
    return absl::OkStatus();
  }

  // One optimizer update: the gradient of the mean loss over the batch, micro-batch by micro-batch,
  // clipped.
  void TrainStep(const Batch& batch) {
    const int64_t count = static_cast<int64_t>(batch.labels.size());
    if (count == 0) return;  // every picture unreadable
    for (ParameterGroup& group : groups_) group.gradients.zero_();
    const at::Tensor images =
        normalize_(batch.images.data(), count, batch.image_size);    // [count, 3, S, S]
    const at::Tensor labels = at::tensor(batch.labels).to(device_);  // [count]
    const int64_t micro_size = batch.size / spec_.accumulation_steps();
    at::Tensor step_loss = at::zeros({}, loss_sum_.options());
    int64_t begin = 0;
    for (int micro = 0; micro < spec_.accumulation_steps(); ++micro) {
      // Places, not pictures, make a micro-batch: an unreadable one shifts no other.
      int64_t end = begin;
      while (end < count && batch.slots[end] < (micro + 1) * micro_size) ++end;
      if (end == begin) continue;
      SeedDropout(micro);
      AutocastGuard autocast(bfloat16_, device_.type());
      const at::Tensor target = labels.slice(0, begin, end);
      const at::Tensor logits =
          model_->forward(images.slice(0, begin, end)).to(at::kFloat);  // [micro, K]
      const at::Tensor loss =
          at::cross_entropy_loss(logits, target, {}, at::Reduction::Sum, /*ignore_index=*/-100,
                                 spec_.label_smoothing()) /
          static_cast<double>(count);
      loss.backward();
      torch::NoGradGuard no_grad;
      step_loss += loss.detach();
      correct_ += logits.detach().argmax(1).eq(target).sum();
      begin = end;
    }
    torch::NoGradGuard no_grad;
    Update(step_loss);
    loss_sum_ += step_loss * static_cast<double>(count);
  }

  // Dropout draws from LibTorch's generator, which starts anew from (seed, step, micro-batch);
  // nothing else draws from it.
  void SeedDropout(int micro) {
    const vit::v1::ModelConfig& m = spec_.model();
    if (m.drop_rate() + m.pos_drop_rate() + m.proj_drop_rate() + m.attn_drop_rate() +
            m.drop_path_rate() ==
        0)
      return;
    torch::manual_seed(
        CounterRandom(spec_.seed(), RandomPurpose::kModelStep, micro, state_.step).NextUint64());
  }

  // Clipping and the check for finite numbers stay on the device: the optimizer divides by `scale`
  // and does nothing where `bad` is set.
  void Update(const at::Tensor& step_loss) {
    at::Tensor squares = at::zeros({}, grad_norm_.options());
    for (const ParameterGroup& group : groups_) squares += group.gradients.dot(group.gradients);
    grad_norm_ = squares.sqrt();
    const at::Tensor bad = at::isfinite(grad_norm_ + step_loss).logical_not();
    bad_step_ = at::where(bad.logical_and(bad_step_ < 0), state_.step, bad_step_);
    const double clip = spec_.clip_grad_norm();
    const at::Tensor scale =
        clip > 0 ? ((grad_norm_ + 1e-6) / clip).clamp_min(1) : at::ones({}, grad_norm_.options());
    last_learning_rate_ = LearningRate(spec_.schedule(), spec_.optimizer().learning_rate(),
                                       warmup_steps_, total_steps_, state_.step);
    optimizer_->Step(last_learning_rate_, scale, bad.to(at::kFloat));
  }

  // History, evaluation and checkpoint where this step is due for them, in this order.
  absl::Status EndOfStep() {
    const auto due = [&](int64_t every) { return every > 0 && state_.step % every == 0; };
    const bool last = state_.step == total_steps_;
    const bool evaluate =
        last || state_.step % steps_per_epoch_ == 0 || due(spec_.evaluation().every_steps());
    if (evaluate || due(spec_.log_every_steps())) VIT_RETURN_IF_ERROR(TellTrainingPoint());
    if (evaluate) {
      VIT_RETURN_IF_ERROR(EvaluateStep());
      options_.observer->OnPhase("training", 0);
      last_point_time_ = options_.clock->Now();
    }
    if ((evaluate && !state_.evaluation_due) || due(spec_.checkpoint().every_steps())) {
      VIT_RETURN_IF_ERROR(CheckFinite());
      TakeCheckpoint();
    }
    return absl::OkStatus();
  }

  // INTERNAL where a loss or gradient was not finite; its update was suppressed. Waits for the
  // device.
  absl::Status CheckFinite() {
    const int64_t step = bad_step_.item<int64_t>();
    if (step < 0) return absl::OkStatus();
    const double rate = LearningRate(spec_.schedule(), spec_.optimizer().learning_rate(),
                                     warmup_steps_, total_steps_, step);
    return absl::InternalError(absl::StrCat(
        "the loss or its gradient was not finite at step ", step + 1, ", learning rate ", rate,
        "; the last checkpoint is from before it: try a lower optimizer.learning_rate, "
        "a longer warmup, or clip_grad_norm"));
  }

  double Epoch() const {
    return static_cast<double>(state_.step) / static_cast<double>(steps_per_epoch_);
  }

  MetricPoint NewPoint(vit::v1::Split split) const {
    MetricPoint point;
    point.set_step(state_.step);
    point.set_epoch(Epoch());
    point.set_split(split);
    point.set_learning_rate(last_learning_rate_);
    const absl::Duration since_epoch = options_.clock->Now() - absl::UnixEpoch();
    point.mutable_time()->set_seconds(absl::ToInt64Seconds(since_epoch));
    point.mutable_time()->set_nanos(
        static_cast<int32_t>(absl::ToInt64Nanoseconds(since_epoch % absl::Seconds(1))));
    return point;
  }

  absl::Status TellTrainingPoint() {
    VIT_RETURN_IF_ERROR(CheckFinite());
    if (state_.samples == 0) return absl::OkStatus();
    const absl::Time now = options_.clock->Now();
    MetricPoint point = NewPoint(vit::v1::SPLIT_TRAIN);
    point.set_loss(loss_sum_.item<double>() / static_cast<double>(state_.samples));
    point.set_accuracy(static_cast<double>(correct_.item<int64_t>()) /
                       static_cast<double>(state_.samples));
    point.set_grad_norm(grad_norm_.item<double>());
    if (now > last_point_time_) {
      point.set_images_per_second(static_cast<double>(samples_since_point_) /
                                  absl::ToDoubleSeconds(now - last_point_time_));
    }
    options_.observer->OnMetrics(point);
    loss_sum_.zero_();
    correct_.zero_();
    state_.samples = 0;
    samples_since_point_ = 0;
    last_point_time_ = now;
    return absl::OkStatus();
  }

  // Evaluates the step and keeps the best. A stop in the middle leaves evaluation_due set, so that
  // a resume makes up for it.
  absl::Status EvaluateStep() {
    state_.evaluation_due = true;
    options_.observer->OnPhase("evaluating", 0);
    const absl::StatusOr<EvaluationResult> result = Evaluate(
        *model_, &reader_, normalize_,
        {.batch_size = spec_.evaluation().batch_size(),
         .loader_threads = spec_.data().loader_threads(),
         .bfloat16 = bfloat16_,
         .on_progress =
             [this](double progress) { options_.observer->OnPhase("evaluating", progress); }},
        stop_);
    if (absl::IsCancelled(result.status()) && stop_.stop_requested()) return absl::OkStatus();
    VIT_RETURN_IF_ERROR(result.status());
    state_.evaluation_due = false;
    state_.accuracy = result->accuracy;
    state_.loss = result->loss;
    const bool by_loss = spec_.evaluation().best() == vit::v1::BEST_METRIC_LOSS;
    if (!state_.best_step ||
        (by_loss ? result->loss < state_.best_loss : result->accuracy > state_.best_accuracy)) {
      state_.best_step = state_.step;
      state_.best_accuracy = result->accuracy;
      state_.best_loss = result->loss;
    }
    MetricPoint point = NewPoint(vit::v1::SPLIT_VALIDATION);
    point.set_loss(result->loss);
    point.set_accuracy(result->accuracy);
    options_.observer->OnMetrics(point);
    return absl::OkStatus();
  }

  // Copies everything that changes and hands it to the writer.
  void TakeCheckpoint() {
    const absl::Time start = options_.clock->Now();
    torch::NoGradGuard no_grad;
    writer_.AwaitIdle();
    NamedTensors weights;
    for (const auto& item : model_->named_parameters())
      weights.emplace_back(item.key(), item.value().detach());
    CopyToSnapshot(weights, &weight_snapshot_);
    CopyToSnapshot(optimizer_->State(), &optimizer_snapshot_);
    state_.loss_sum = loss_sum_.item<double>();
    state_.correct = correct_.item<int64_t>();
    state_.data_fingerprint = options_.resolved.data->fingerprint();
    state_.device_model = options_.environment.device.model_name();
    state_.torch_version = TorchVersion();
    state_.compute_threads = spec_.compute_threads();
    state_.time = start;
    writer_.Write({.state = state_,
                   .weights = weight_snapshot_,
                   .optimizer = optimizer_snapshot_,
                   .description = {.model = spec_.model(),
                                   .preprocessing = spec_.data(),
                                   .precision = spec_.precision(),
                                   .labels = options_.resolved.data->class_names()},
                   .spec = spec_});
    last_checkpoint_step_ = state_.step;
    checkpoint_time_ += options_.clock->Now() - start;
  }

  // The host memory of a snapshot is kept for the next one.
  static void CopyToSnapshot(const NamedTensors& live, NamedTensors* snapshot) {
    if (snapshot->empty()) {
      for (const auto& [name, tensor] : live) {
        snapshot->emplace_back(name, at::empty(tensor.sizes(), tensor.options().device(at::kCPU)));
      }
    }
    for (size_t i = 0; i < live.size(); ++i) (*snapshot)[i].second.copy_(live[i].second);
  }

  const TrainerOptions& options_;
  const vit::v1::TrainingSpec& spec_;
  const std::stop_token stop_;
  const c10::Device device_;
  const bool bfloat16_;
  const int64_t total_steps_, steps_per_epoch_, warmup_steps_;
  const Normalizer normalize_;
  SampleReader reader_;
  VisionTransformer model_;
  std::vector<ParameterGroup> groups_;
  std::unique_ptr<Optimizer> optimizer_;

  TrainState state_;
  // Since the last point of the history, on the device.
  at::Tensor loss_sum_, correct_;
  at::Tensor bad_step_;   // the first step whose numbers were not finite, or -1
  at::Tensor grad_norm_;  // of the last step, before clipping
  double last_learning_rate_ = 0;
  absl::Time last_point_time_;
  int64_t samples_since_point_ = 0;
  int64_t last_checkpoint_step_ = -1;
  absl::Duration checkpoint_time_;
  NamedTensors weight_snapshot_, optimizer_snapshot_;
  CheckpointWriter writer_;  // last: its thread uses the snapshots
};

}  // namespace

absl::StatusOr<TrainOutcome> Train(const TrainerOptions& options, std::stop_token stop) {
  return CatchExceptions("training", [&] { return TrainingRun(options, std::move(stop)).Run(); });
}

}  // namespace vit
