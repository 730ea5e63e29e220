#include "core/data/loader/loader.h"

#include <algorithm>
#include <utility>

#include "core/base/status.h"
#include "core/data/loader/batch_maker.h"
#include "core/data/loader/sample_order.h"

namespace vit {

class TrainLoader::Impl {
 public:
  Impl(SampleReader* reader, const Options& options)
      : reader_(reader),
        options_(options),
        size_(reader->data().size(DataSplit::kTrain)),
        order_(reader->data(), reader->config()),
        next_step_(options.first_step),
        maker_(MakerOptions()) {}

  absl::StatusOr<Batch> Next(const std::stop_token& stop) {
    VIT_ASSIGN_OR_RETURN(std::optional<Batch> batch, maker_.Next(stop));
    VIT_RETURN_IF_ERROR(reader_->CheckBadFraction(DataSplit::kTrain, stop));
    if (!batch.has_value()) {
      return absl::InvalidArgumentError("the training split has fewer images than one batch");
    }
    return *std::move(batch);
  }

 private:
  BatchMaker::Options MakerOptions() {
    BatchMaker::Options options;
    options.image_size = reader_->image_size();
    options.threads = options_.threads;
    options.device = options_.device;
    options.prefetch_batches = options_.prefetch_batches;
    options.next_plan = [this] { return NextPlan(); };
    options.label = [this](int64_t index) {
      return reader_->data().label(DataSplit::kTrain, index);
    };
    options.read = [this](const BatchMaker::Plan& plan, const SampleDraw& draw, uint8_t* out) {
      return reader_->ReadTrain(options_.seed, plan.epoch, draw, out);
    };
    return options;
  }

  std::optional<BatchMaker::Plan> NextPlan() {
    const int64_t steps_per_epoch = size_ / options_.batch_size;
    if (steps_per_epoch == 0) return std::nullopt;
    const int64_t step = next_step_++;
    const int64_t epoch = step / steps_per_epoch;
    if (epoch != order_epoch_) {
      epoch_ = order_.Epoch(options_.seed, epoch);
      order_epoch_ = epoch;
    }
    const auto first = epoch_.begin() + step % steps_per_epoch * options_.batch_size;
    return BatchMaker::Plan{step, epoch, {first, first + options_.batch_size}};
  }

  SampleReader* const reader_;
  const Options options_;
  const int64_t size_;
  const SampleOrder order_;
  // Used only by next_plan, one thread at a time.
  int64_t next_step_;
  int64_t order_epoch_ = -1;
  std::vector<SampleDraw> epoch_;
  BatchMaker maker_;  // last: its threads use all the others
};

TrainLoader::TrainLoader(SampleReader* reader, const Options& options)
    : impl_(std::make_unique<Impl>(reader, options)) {}
TrainLoader::~TrainLoader() = default;
absl::StatusOr<Batch> TrainLoader::Next(std::stop_token stop) { return impl_->Next(stop); }

class EvalLoader::Impl {
 public:
  Impl(SampleReader* reader, const Options& options)
      : reader_(reader),
        options_(options),
        size_(reader->data().size(options.split)),
        maker_(MakerOptions()) {}

  absl::StatusOr<Batch> Next(const std::stop_token& stop) {
    VIT_ASSIGN_OR_RETURN(std::optional<Batch> batch, maker_.Next(stop));
    VIT_RETURN_IF_ERROR(reader_->CheckBadFraction(options_.split, stop));
    return batch.has_value() ? *std::move(batch) : Batch{};
  }

 private:
  BatchMaker::Options MakerOptions() {
    BatchMaker::Options options;
    options.image_size = reader_->eval_image_size();
    options.threads = options_.threads;
    options.device = options_.device;
    options.prefetch_batches = options_.prefetch_batches;
    options.next_plan = [this] { return NextPlan(); };
    options.label = [this](int64_t index) { return reader_->data().label(options_.split, index); };
    options.read = [this](const BatchMaker::Plan&, const SampleDraw& draw, uint8_t* out) {
      return reader_->ReadEval(options_.split, draw.index, out);
    };
    return options;
  }

  std::optional<BatchMaker::Plan> NextPlan() {
    if (next_index_ >= size_) return std::nullopt;
    BatchMaker::Plan plan;
    plan.step = next_step_++;
    const int64_t end = std::min(next_index_ + options_.batch_size, size_);
    while (next_index_ < end) plan.draws.push_back({next_index_++});
    return plan;
  }

  SampleReader* const reader_;
  const Options options_;
  const int64_t size_;
  // Used only by next_plan, one thread at a time.
  int64_t next_step_ = 0;
  int64_t next_index_ = 0;
  BatchMaker maker_;  // last: its threads use all the others
};

EvalLoader::EvalLoader(SampleReader* reader, const Options& options)
    : impl_(std::make_unique<Impl>(reader, options)) {}
EvalLoader::~EvalLoader() = default;
absl::StatusOr<Batch> EvalLoader::Next(std::stop_token stop) { return impl_->Next(stop); }

}  // namespace vit
