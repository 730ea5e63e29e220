#include "core/infer/batcher.h"

#include <algorithm>
#include <utility>

#include "core/base/compute/compute_budget.h"

namespace vit {

Batcher::Batcher(const Options& options) : options_(options), team_("infer", options.threads) {
  thread_ = ComputeBudget::StartThread("infer", options_.threads, [this] { Loop(); });
}

Batcher::~Batcher() {
  std::deque<Queued> left;
  {
    MutexLock lock(&mu_);
    closing_ = true;
    left.swap(queue_);
    changed_.NotifyAll();
  }
  for (Queued& queued : left) {
    queued.item.done(absl::UnavailableError("vitd is shutting down; retry later"));
  }
  thread_.join();
}

void Batcher::Submit(Item item) {
  {
    MutexLock lock(&mu_);
    if (!closing_) {
      const std::string& model = item.model->name();
      queue_.push_back({std::move(item), options_.clock->Now()});
      TellDepth(model);
      changed_.NotifyAll();
      return;
    }
  }
  item.done(absl::UnavailableError("vitd is shutting down; retry later"));
}

void Batcher::TellDepth(const std::string& model) {
  if (options_.observer == nullptr) return;
  options_.observer->OnQueueDepth(
      model, static_cast<int>(std::count_if(queue_.begin(), queue_.end(), [&](const Queued& q) {
        return q.item.model->name() == model;
      })));
}

void Batcher::Run(absl::FunctionRef<void(ComputeTeam* team)> task) {
  Task waiting{task};
  MutexLock lock(&mu_);
  tasks_.push_back(&waiting);
  changed_.NotifyAll();
  while (!waiting.done) changed_.Wait(&mu_);
}

void Batcher::RunTask() {
  Task* task = nullptr;
  {
    MutexLock lock(&mu_);
    if (tasks_.empty()) return;
    task = tasks_.front();
    tasks_.pop_front();
  }
  task->run(&team_);
  MutexLock lock(&mu_);
  task->done = true;
  changed_.NotifyAll();
}

std::optional<std::vector<Batcher::Queued>> Batcher::NextBatch() {
  MutexLock lock(&mu_);
  while (true) {
    if (closing_) return std::nullopt;
    if (queue_.empty()) {
      if (!tasks_.empty()) return std::vector<Queued>();
      changed_.Wait(&mu_);
      continue;
    }
    const FrozenModel* const model = queue_.front().item.model.get();
    const Work work = queue_.front().item.work;
    const absl::Time close = queue_.front().arrival + options_.max_queue_delay;
    const auto same = [&](const Queued& q) {
      return q.item.model.get() == model && q.item.work == work;
    };
    if (std::count_if(queue_.begin(), queue_.end(), same) < options_.max_batch_size &&
        options_.clock->Now() < close) {
      options_.clock->WaitUntil(&changed_, &mu_, close);
      continue;
    }
    std::vector<Queued> batch;
    for (auto it = queue_.begin();
         it != queue_.end() && static_cast<int>(batch.size()) < options_.max_batch_size;) {
      if (same(*it)) {
        batch.push_back(std::move(*it));
        it = queue_.erase(it);
      } else {
        ++it;
      }
    }
    TellDepth(model->name());
    return batch;
  }
}

void Batcher::Loop() {
  while (std::optional<std::vector<Queued>> batch = NextBatch()) {
    if (!batch->empty()) Compute(*std::move(batch));
    RunTask();
  }
}

void Batcher::Compute(std::vector<Queued> batch) {
  const absl::Time start = options_.clock->Now();
  const std::shared_ptr<const FrozenModel> model = batch.front().item.model;
  std::vector<Item*> live;
  std::vector<const std::vector<uint8_t>*> images;
  for (Queued& queued : batch) {
    Item& item = queued.item;
    if (item.cancelled()) {
      item.done(absl::CancelledError("the call was cancelled"));
    } else if (item.deadline <= start) {
      item.done(absl::DeadlineExceededError("the deadline passed in the queue"));
    } else {
      if (options_.observer != nullptr) {
        options_.observer->OnQueued(model->name(), start - queued.arrival);
      }
      live.push_back(&item);
      images.push_back(&item.prepared);
    }
  }
  if (live.empty()) return;
  absl::StatusOr<std::vector<Computed>> computed =
      model->Compute(batch.front().item.work, images, &team_);
  if (options_.observer != nullptr) {
    options_.observer->OnBatch(model->name(), static_cast<int>(live.size()),
                               options_.clock->Now() - start);
  }
  if (!computed.ok()) options_.on_failure(computed.status());
  for (size_t i = 0; i < live.size(); ++i) {
    if (computed.ok()) {
      live[i]->done(std::move((*computed)[i]));
    } else {
      live[i]->done(computed.status());
    }
  }
}

}  // namespace vit
