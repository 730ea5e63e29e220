#include "core/train/trainer.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/compute/torch_device.h"
#include "core/base/status.h"
#include "core/data/loader/loader.h"
#include "core/model/normalize.h"
#include "core/model/vision_transformer.h"
#include "core/tensor_file/safetensors.h"
#include "core/train/batch_upload.h"
#include "core/train/checkpoint/checkpoint.h"
#include "core/train/checkpoint/checkpoint_info.h"
#include "core/train/checkpoint/checkpoint_writer.h"
#include "core/train/checkpoint/snapshot.h"
#include "core/train/evaluation/best_checkpoint.h"
#include "core/train/evaluation/evaluate.h"
#include "core/train/evaluation/evaluation_report.h"
#include "core/train/initial_weights.h"
#include "core/train/optim/schedule.h"
#include "core/train/pin_model.h"
#include "core/train/recipe/resolve_teacher.h"
#include "core/train/training_step.h"
#include "core/weights/load_weights.h"
#include "core/weights/model_directory.h"
#include "proto/time.h"

namespace vit {
namespace {

using ::vit::v1::MetricPoint;

// Sets them for all threads: LibTorch keeps them per process.
void SetComputeMode(bool deterministic, bool allow_tf32) {
  at::globalContext().setDeterministicAlgorithms(deterministic, /*warn_only=*/false);
  // Memory that is not written is not read either.
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  at::globalContext().setAllowTF32CuBLAS(allow_tf32);
}

// One run, from its last checkpoint to its end. Lives on the training thread.
class TrainingRun {
 public:
  TrainingRun(const TrainerOptions& options, std::stop_token stop)
      : options_(options),
        spec_(options.resolved.spec),
        stop_(std::move(stop)),
        device_(TorchDevice(options.environment.device)),
        bfloat16_(spec_.precision() == vit::v1::PRECISION_BFLOAT16),
        steps_(CountSteps(spec_.schedule(), options.resolved.steps_per_epoch,
                          options.resolved.total_steps)),
        normalize_(spec_.data(), device_),
        upload_(&normalize_, device_),
        reader_(options.resolved.data, spec_.data(), spec_.model().image_size(),
                [this](const BadImage& image) { options_.observer->OnBadImage(image); }),
        model_(spec_.model()),
        writer_(options) {}

  absl::StatusOr<TrainOutcome> Run() {
    options_.observer->OnPhase("preparing data", 0);
    VIT_RETURN_IF_ERROR(Prepare());
    if (state_.evaluation_due) {
      VIT_RETURN_IF_ERROR(EvaluateStep());
      if (!state_.evaluation_due) TakeCheckpoint();  // now with its evaluation
    }
    if (!stop_.stop_requested()) {
      options_.observer->OnPhase("training", 0);
      VIT_RETURN_IF_ERROR(TrainSteps());
    }
    // Keeps the final state, however the run ended; no step is written twice.
    VIT_RETURN_IF_ERROR(CheckFinite());
    if (last_checkpoint_step_ != state_.step) TakeCheckpoint();
    options_.observer->OnPhase("writing checkpoint", 0);
    writer_.AwaitIdle();
    if (const absl::Status status = writer_.last_status(); !status.ok()) {
      return Annotate(
          status, absl::StrCat("the checkpoint of step ", state_.step, " could not be written"));
    }
    if (state_.evaluation_due) return TrainOutcome::kStopped;
    if (state_.step == steps_.total) return TrainOutcome::kFinished;
    return NoLongerImproves(state_, spec_) ? TrainOutcome::kStoppedEarly : TrainOutcome::kStopped;
  }

 private:
  // Sets up the model, the optimizer and the position, from the newest sound checkpoint or from the
  // beginning.
  absl::Status Prepare() {
    SetComputeMode(spec_.deterministic(), spec_.allow_tf32());
    VIT_RETURN_IF_ERROR(RemoveUnfinishedCheckpoints(options_.directory));
    std::vector<std::string> notes;
    if (!options_.note.empty()) notes.push_back(options_.note);
    VIT_ASSIGN_OR_RETURN(const std::optional<std::filesystem::path> checkpoint,
                         NewestSoundCheckpoint(options_.directory, &notes));
    if (!checkpoint.has_value()) {
      model_->Initialize(spec_.seed());
      if (spec_.has_init()) {
        VIT_ASSIGN_OR_RETURN(const std::optional<ServableModel> pinned, PinnedInit());
        const auto& roots = options_.environment.data_roots;
        VIT_ASSIGN_OR_RETURN(const std::filesystem::path path,
                             FindInitialWeights(spec_, options_.directory,
                                                pinned.has_value() ? &*pinned : nullptr, roots));
        VIT_ASSIGN_OR_RETURN(
            const std::string note,
            CopyInitialWeights(path, spec_, roots, options_.resolved.data->class_names(), *model_));
        if (!note.empty()) notes.push_back(note);
      }
    }
    model_->to(device_);
    model_->train();
    if (spec_.has_distillation()) {
      const std::filesystem::path kept = KeptTeacher(options_.directory);
      const auto& pinned = options_.resolved.models.teacher;
      VIT_ASSIGN_OR_RETURN(teacher_, Teacher::Load(pinned.has_value() ? pinned->directory : kept,
                                                   spec_, options_.environment.device));
    }
    training_step_.emplace(spec_, model_.get(), steps_, teacher_.get());
    if (checkpoint.has_value()) VIT_RETURN_IF_ERROR(Restore(*checkpoint, &notes));
    options_.observer->OnStart(state_.step, absl::StrJoin(notes, "; "));
    return absl::OkStatus();
  }

  // Returns the model that init names, if the run's folder does not keep its weights. The plan of a
  // run that has checkpoints does not hold it, but all of them may turn out to be damaged.
  absl::StatusOr<std::optional<ServableModel>> PinnedInit() const {
    if (options_.resolved.models.init.has_value() || !IsPrefixedModelRef(spec_.init()) ||
        KeepsInitialWeights(options_.directory)) {
      return options_.resolved.models.init;
    }
    return PinModel("init", spec_.init(), options_.environment.models);
  }

  absl::Status Restore(const std::filesystem::path& path, std::vector<std::string>* notes) {
    VIT_ASSIGN_OR_RETURN(state_, ReadTrainState(path));
    const std::string& fingerprint = options_.resolved.data->fingerprint();
    if (state_.data_fingerprint != fingerprint) {
      return absl::FailedPreconditionError(
          absl::StrCat("the data of ", spec_.data().source(),
                       " has changed since the run began (names, sizes, classes or split differ: ",
                       state_.data_fingerprint, " then, ", fingerprint,
                       " now); restore the data, or start a new run with --init"));
    }
    VIT_ASSIGN_OR_RETURN(const TensorFile weights, ReadSafetensors(path / kWeightsFile));
    VIT_RETURN_IF_ERROR(Annotate(LoadWeights(weights.tensors, *model_), path.string()));
    VIT_ASSIGN_OR_RETURN(const TensorFile optimizer,
                         ReadSafetensors(path / "optimizer.safetensors"));
    VIT_RETURN_IF_ERROR(
        Annotate(training_step_->optimizer().LoadState(optimizer.tensors), path.string()));
    VIT_RETURN_IF_ERROR(
        Annotate(training_step_->averages().LoadState(optimizer.tensors), path.string()));
    training_step_->SetSums(state_.loss_sum, state_.correct);
    last_checkpoint_step_ = state_.step;
    VIT_RETURN_IF_ERROR(CarryBestOver(options_.directory, spec_.evaluation(), &state_, notes));
    // What exact continuation depends on.
    const auto differs = [&](absl::string_view what, const auto& then, const auto& now) {
      if (then != now) {
        notes->push_back(absl::StrCat("continues inexactly: ", what, " was ", then, ", is ", now));
      }
    };
    differs("the device", state_.device_model, options_.environment.device.model_name());
    differs("LibTorch", state_.torch_version, TorchVersion());
    if (device_.is_cpu()) differs("vitd's arithmetic", state_.arithmetic, kArithmetic);
    differs("the number of compute threads", state_.compute_threads, spec_.compute_threads());
    if (device_.is_cuda() && !spec_.deterministic()) {
      notes->push_back("continues inexactly: deterministic is false and the device is CUDA");
    }
    return absl::OkStatus();
  }

  absl::Status TrainSteps() {
    if (state_.step >= steps_.total) return absl::OkStatus();
    TrainLoader loader(&reader_, {.seed = spec_.seed(),
                                  .batch_size = spec_.batch_size(),
                                  .first_step = state_.step,
                                  .threads = spec_.data().loader_threads(),
                                  .prefetch_batches = spec_.data().prefetch_batches(),
                                  .device = options_.environment.device});
    last_point_time_ = options_.clock->Now();
    while (state_.step < steps_.total && !stop_.stop_requested() &&
           !NoLongerImproves(state_, spec_)) {
      TrainObserver::Step report;
      const absl::Time start = options_.clock->Now();
      absl::StatusOr<Batch> batch = loader.Next(stop_);
      if (absl::IsCancelled(batch.status()) && stop_.stop_requested()) break;
      VIT_RETURN_IF_ERROR(batch.status());
      const absl::Time loaded = options_.clock->Now();
      const auto samples = static_cast<int64_t>(batch->labels.size());
      TrainStep(&*batch);
      ++state_.step;
      state_.accuracy.reset();
      state_.loss.reset();
      evaluation_.reset();
      state_.samples += samples;
      samples_since_point_ += samples;
      computed_ = options_.clock->Now();
      VIT_RETURN_IF_ERROR(EndOfStep());
      report.step = state_.step;
      report.samples = static_cast<int>(samples);
      report.data_wait = loaded - start;
      report.compute = computed_ - loaded;
      report.checkpoint = std::exchange(checkpoint_time_, absl::ZeroDuration());
      options_.observer->OnStep(report);
    }
    return absl::OkStatus();
  }

  void TrainStep(Batch* batch) {
    if (batch->labels.empty()) return training_step_->SkipEmpty(state_.step);
    const auto [images, labels] = upload_(batch);
    training_step_->Run(images, labels, batch->slots, batch->size, state_.step, [&] {
      ServingObjective* const objective = options_.environment.serving_objective;
      if (objective != nullptr) objective->GiveWay(stop_);
    });
  }

  // Does what is due after this step: history, evaluation and checkpoint, in this order.
  absl::Status EndOfStep() {
    const auto due = [&](int64_t every) { return every > 0 && state_.step % every == 0; };
    const bool last = state_.step == steps_.total;
    const bool evaluate =
        last || state_.step % steps_.per_epoch == 0 || due(spec_.evaluation().every_steps());
    if (evaluate || due(spec_.log_every_steps())) {
      VIT_RETURN_IF_ERROR(TellTrainingPoint());
      computed_ = options_.clock->Now();  // that waited for the device
    }
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

  // INTERNAL if a loss or gradient was not finite; its update was suppressed. Waits for the device.
  absl::Status CheckFinite() {
    const std::optional<int64_t> step = training_step_->FirstBadStep();
    return step.has_value() ? NotFinite("the loss or its gradient", *step + 1) : absl::OkStatus();
  }

  absl::Status NotFinite(absl::string_view what, int64_t step) const {
    return absl::InternalError(absl::StrCat(
        what, " was not finite at step ", step, ", learning rate ",
        training_step_->LearningRateAt(step - 1),
        "; the last checkpoint is from before that; try a lower optimizer.learning_rate, "
        "a longer warmup, or clip_grad_norm"));
  }

  double Epoch() const {
    return static_cast<double>(state_.step) / static_cast<double>(steps_.per_epoch);
  }

  MetricPoint NewPoint(vit::v1::Split split) const {
    MetricPoint point;
    point.set_step(state_.step);
    point.set_epoch(Epoch());
    point.set_split(split);
    point.set_learning_rate(training_step_->LearningRateAt(std::max<int64_t>(0, state_.step - 1)));
    *point.mutable_time() = ToProto(options_.clock->Now());
    return point;
  }

  absl::Status TellTrainingPoint() {
    VIT_RETURN_IF_ERROR(CheckFinite());
    if (state_.samples == 0) return absl::OkStatus();
    const absl::Time now = options_.clock->Now();
    MetricPoint point = NewPoint(vit::v1::SPLIT_TRAIN);
    point.set_loss(training_step_->LossSum() / static_cast<double>(state_.samples));
    point.set_accuracy(static_cast<double>(training_step_->Correct()) /
                       static_cast<double>(state_.samples));
    point.set_grad_norm(training_step_->GradNorm());
    if (now > last_point_time_) {
      point.set_images_per_second(static_cast<double>(samples_since_point_) /
                                  absl::ToDoubleSeconds(now - last_point_time_));
    }
    options_.observer->OnMetrics(point);
    training_step_->ResetSums();
    state_.samples = 0;
    samples_since_point_ = 0;
    last_point_time_ = now;
    return absl::OkStatus();
  }

  // Evaluates the step and keeps the best. A stop midway leaves evaluation_due set, so that a
  // resume evaluates again.
  absl::Status EvaluateStep() {
    state_.evaluation_due = true;
    options_.observer->OnPhase("evaluating", 0);
    const WeightAverages::InUse averaged(&training_step_->averages(), state_.step);
    const absl::StatusOr<ClassificationMetrics> result = Evaluate(
        *model_, &reader_, &upload_,
        {.batch_size = spec_.evaluation().batch_size(),
         .top_k = spec_.evaluation().top_k(),
         .loader_threads = spec_.data().loader_threads(),
         .device = options_.environment.device,
         .bfloat16 = bfloat16_,
         .on_progress =
             [this](double progress) { options_.observer->OnPhase("evaluating", progress); }},
        stop_);
    if (absl::IsCancelled(result.status()) && stop_.stop_requested()) return absl::OkStatus();
    VIT_RETURN_IF_ERROR(result.status());
    if (!std::isfinite(result->loss)) return NotFinite("the validation loss", state_.step);
    state_.evaluation_due = false;
    state_.accuracy = result->accuracy;
    state_.loss = result->loss;
    evaluation_ = MakeEvaluation(state_.step, *result, options_.resolved.data->class_names());
    KeepBest(*evaluation_, spec_, &state_);
    MetricPoint point = NewPoint(vit::v1::SPLIT_VALIDATION);
    point.set_loss(result->loss);
    point.set_accuracy(result->accuracy);
    *point.mutable_evaluation() = evaluation_->metrics();
    options_.observer->OnMetrics(point);
    return absl::OkStatus();
  }

  // Copies everything that changes and hands it to the writer.
  void TakeCheckpoint() {
    const absl::Time start = options_.clock->Now();
    torch::NoGradGuard no_grad;
    writer_.AwaitIdle();
    SnapshotWeights();
    NamedTensors training_state = training_step_->optimizer().State();
    for (auto& item : training_step_->averages().State()) training_state.push_back(std::move(item));
    optimizer_snapshot_.Take(training_state);
    AwaitDevice(device_);
    state_.loss_sum = training_step_->LossSum();
    state_.correct = training_step_->Correct();
    state_.data_fingerprint = options_.resolved.data->fingerprint();
    state_.device_model = options_.environment.device.model_name();
    state_.torch_version = TorchVersion();
    state_.arithmetic = kArithmetic;
    state_.compute_threads = spec_.compute_threads();
    state_.time = start;
    writer_.Write({.state = state_,
                   .weights = weight_snapshot_.tensors(),
                   .optimizer = optimizer_snapshot_.tensors(),
                   .description = {.model = spec_.model(),
                                   .preprocessing = spec_.data(),
                                   .precision = spec_.precision(),
                                   .labels = options_.resolved.data->class_names()},
                   .spec = spec_,
                   .evaluation = evaluation_});
    last_checkpoint_step_ = state_.step;
    checkpoint_time_ += options_.clock->Now() - start;
  }

  // Takes a snapshot of the weights that evaluation uses.
  void SnapshotWeights() {
    const WeightAverages::InUse averaged(&training_step_->averages(), state_.step);
    NamedTensors weights;
    for (const auto& [name, value] : StateDict(*model_)) weights.emplace_back(name, value.detach());
    weight_snapshot_.Take(weights);
  }

  const TrainerOptions& options_;
  const vit::v1::TrainingSpec& spec_;
  const std::stop_token stop_;
  const c10::Device device_;
  const bool bfloat16_;
  const StepCounts steps_;
  const Normalizer normalize_;
  BatchUpload upload_;
  SampleReader reader_;
  VisionTransformer model_;
  std::unique_ptr<Teacher> teacher_;
  std::optional<TrainingStep> training_step_;

  TrainState state_;
  std::optional<vit::v1::Evaluation> evaluation_;  // of state_.step
  absl::Time last_point_time_;
  int64_t samples_since_point_ = 0;
  int64_t last_checkpoint_step_ = -1;
  absl::Time computed_;  // the end of the last step's computing
  absl::Duration checkpoint_time_;
  Snapshot weight_snapshot_, optimizer_snapshot_;
  CheckpointWriter writer_;  // last: its thread uses the snapshots
};

}  // namespace

absl::StatusOr<TrainOutcome> Train(const TrainerOptions& options, std::stop_token stop) {
  absl::StatusOr<TrainOutcome> outcome =
      CatchExceptions("training", [&] { return TrainingRun(options, std::move(stop)).Run(); });
  SetComputeMode(/*deterministic=*/false, /*allow_tf32=*/false);
  options.environment.device.ReleaseUnusedMemory();  // the tensors are gone
  return outcome;
}

}  // namespace vit
