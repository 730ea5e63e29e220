#include "core/runs/store/history_buffer.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "core/base/status.h"

namespace vit {

void HistoryBuffer::Add(const std::string& run, const vit::v1::MetricPoint& point) {
  MutexLock lock(&mu_);
  pending_.push_back({run, point});
}

absl::Status HistoryBuffer::Flush() {
  MutexLock flush_lock(&flush_mu_);
  std::vector<RunStore::HistoryEntry> batch;
  {
    MutexLock lock(&mu_);
    batch.swap(pending_);
  }
  const absl::Status written = store_->AppendHistory(batch);
  if (!written.ok()) {
    MutexLock lock(&mu_);
    batch.insert(batch.end(), std::make_move_iterator(pending_.begin()),
                 std::make_move_iterator(pending_.end()));
    pending_.swap(batch);
  }
  return written;
}

absl::Status HistoryBuffer::Sync() {
  VIT_RETURN_IF_ERROR(Flush());
  return store_->SyncHistory();
}

absl::Status HistoryBuffer::DropAfter(const std::string& run, int64_t step) {
  MutexLock flush_lock(&flush_mu_);
  RemovePending(run, step);
  return store_->DropHistoryAfter(run, step);
}

void HistoryBuffer::Forget(const std::string& run) {
  MutexLock flush_lock(&flush_mu_);
  RemovePending(run, std::numeric_limits<int64_t>::min());
}

void HistoryBuffer::RemovePending(const std::string& run, int64_t after_step) {
  MutexLock lock(&mu_);
  pending_.erase(std::remove_if(pending_.begin(), pending_.end(),
                                [&](const RunStore::HistoryEntry& entry) {
                                  return entry.run == run && entry.point.step() > after_step;
                                }),
                 pending_.end());
}

}  // namespace vit
