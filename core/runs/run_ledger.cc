#include "core/runs/run_ledger.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "proto/time.h"

namespace vit {

using vit::v1::Run;

namespace {

void TellChanged(RunListener* listener, const Run& run) { listener->OnRunChanged(run); }

bool IsActive(const Run& run) {
  return run.state() == vit::v1::RUN_STATE_RUNNING || run.state() == vit::v1::RUN_STATE_STOPPING;
}

std::string Describe(const RunRecord& record) {
  return record.run.name().empty() ? record.run.id()
                                   : absl::StrCat(record.run.id(), " (", record.run.name(), ")");
}

}  // namespace

RunLedger::RunLedger(Options options, std::vector<RunRecord> records) : options_(options) {
  MutexLock lock(&mu_);
  for (RunRecord& record : records) {
    const std::string id = record.run.id();
    next_queue_order_ = std::max(next_queue_order_, record.queue_order + 1);
    last_start_order_ = std::max(last_start_order_, record.start_order);
    Index(runs_.emplace(id, std::move(record)).first->second);
  }
  for (const auto& [sequence, id] : by_sequence_) Announce(runs_.at(id), TellChanged);
}

void RunLedger::Index(const RunRecord& record) {
  const Run& run = record.run;
  by_sequence_.emplace(record.sequence, run.id());
  if (!run.name().empty()) by_name_.emplace(run.name(), run.id());
  if (!record.request_id.empty()) by_request_.emplace(record.request_id, run.id());
  if (run.state() == vit::v1::RUN_STATE_QUEUED) queue_.emplace(record.queue_order, run.id());
  if (record.start_order > 0) started_.emplace(record.start_order, run.id());
  if (ServableStep(record) >= 0) servable_.emplace(record.start_order, run.id());
  if (IsActive(run)) ++active_;
}

void RunLedger::Unindex(const RunRecord& record) {
  const Run& run = record.run;
  by_sequence_.erase(record.sequence);
  const auto [begin, end] = by_name_.equal_range(run.name());
  const auto named = std::find_if(begin, end, [&](const auto& e) { return e.second == run.id(); });
  if (named != end) by_name_.erase(named);
  by_request_.erase(record.request_id);
  queue_.erase({record.queue_order, run.id()});
  started_.erase({record.start_order, run.id()});
  servable_.erase({record.start_order, run.id()});
  if (IsActive(run)) --active_;
}

Run RunLedger::View(const RunRecord& record) const {
  Run run = record.run;
  run.clear_queue_position();
  const auto place = queue_.find({record.queue_order, run.id()});
  if (place != queue_.end()) {
    run.set_queue_position(static_cast<int32_t>(std::distance(queue_.begin(), place)) + 1);
  }
  return run;
}

void RunLedger::Announce(const RunRecord& record, const Tell& tell) {
  options_.subscriptions->NotifyChanged(record.run.id());
  if (options_.listener == nullptr || tell == nullptr) return;
  options_.dispatcher->Post(
      [listener = options_.listener, tell, run = View(record)] { tell(listener, run); });
}

std::optional<RunRecord> RunLedger::Get(const std::string& id) const {
  MutexLock lock(&mu_);
  const auto found = runs_.find(id);
  if (found == runs_.end()) return std::nullopt;
  RunRecord record = found->second;
  record.run = View(record);
  return record;
}

std::optional<RunRecord> RunLedger::FindRequest(const std::string& request_id) const {
  std::string id;
  {
    MutexLock lock(&mu_);
    const auto found = by_request_.find(request_id);
    if (found == by_request_.end()) return std::nullopt;
    id = found->second;
  }
  return Get(id);
}

absl::StatusOr<std::string> RunLedger::Find(const std::string& query) const {
  MutexLock lock(&mu_);
  return FindLocked(query);
}

absl::StatusOr<std::string> RunLedger::FindLocked(const std::string& query) const {
  if (query.empty() || query == "latest") {
    if (!started_.empty()) return started_.rbegin()->second;
    if (!by_sequence_.empty()) return by_sequence_.rbegin()->second;
    return UnknownRun(query);
  }
  if (runs_.count(query) > 0) return query;
  std::vector<std::string> matches;
  const auto [begin, end] = by_name_.equal_range(query);
  for (auto named = begin; named != end; ++named) matches.push_back(named->second);
  if (matches.empty()) {
    for (auto run = runs_.lower_bound(query);
         run != runs_.end() && absl::StartsWith(run->first, query); ++run) {
      matches.push_back(run->first);
    }
  }
  if (matches.size() == 1) return matches[0];
  if (matches.empty()) return UnknownRun(query);
  std::sort(matches.begin(), matches.end());
  constexpr size_t kShown = 5;
  const std::string more =
      matches.size() > kShown ? absl::StrCat(" and ", matches.size() - kShown, " more") : "";
  const size_t count = matches.size();
  matches.resize(std::min(count, kShown));
  return absl::InvalidArgumentError(absl::StrCat("'", query, "' matches ", count,
                                                 " runs: ", absl::StrJoin(matches, ", "), more,
                                                 "; give the id of one"));
}

absl::Status RunLedger::UnknownRun(const std::string& query) const {
  if (runs_.empty()) {
    return absl::NotFoundError(query.empty()
                                   ? "there are no runs yet; start one with vitctl start-run"
                                   : absl::StrCat("no run '", query, "': there are none yet"));
  }
  std::vector<std::string> latest;
  for (auto run = by_sequence_.rbegin(); run != by_sequence_.rend() && latest.size() < 3; ++run) {
    latest.push_back(Describe(runs_.at(run->second)));
  }
  return absl::NotFoundError(absl::StrCat("no run '", query, "'; the latest of ", runs_.size(),
                                          ": ", absl::StrJoin(latest, ", ")));
}

vit::v1::ListRunsResponse RunLedger::List(const std::set<vit::v1::RunState>& states, int page_size,
                                          int64_t before_sequence) const {
  vit::v1::ListRunsResponse response;
  MutexLock lock(&mu_);
  auto next = std::make_reverse_iterator(by_sequence_.lower_bound(before_sequence));
  int64_t last = 0;
  for (; next != by_sequence_.rend(); ++next) {
    const RunRecord& record = runs_.at(next->second);
    if (!states.empty() && states.count(record.run.state()) == 0) continue;
    if (response.runs_size() == page_size) {
      response.set_next_page_token(absl::StrCat(last));
      break;
    }
    *response.add_runs() = View(record);
    last = next->first;
  }
  return response;
}

absl::StatusOr<ServableModel> RunLedger::LeaseServable(const ModelRef& ref,
                                                       CheckpointLeases* leases) const {
  MutexLock lock(&mu_);
  std::string id;
  int64_t wanted_step = ref.number;
  if (ref.kind == ModelRef::Kind::kLatest) {
    if (servable_.empty()) {
      return absl::UnavailableError(
          runs_.empty() ? "no run has been started yet, so there is no model to serve"
                        : "no run has written a checkpoint yet; retry later");
    }
    id = servable_.rbegin()->second;
  } else {
    // The name of a run may end like a step.
    absl::StatusOr<std::string> whole = absl::NotFoundError("");
    if (wanted_step >= 0) whole = FindLocked(absl::StrCat(ref.name, "@", wanted_step));
    if (whole.ok()) {
      id = *whole;
      wanted_step = ModelRef::kServed;
    } else {
      VIT_ASSIGN_OR_RETURN(id, FindLocked(ref.name));
    }
  }
  const RunRecord& record = runs_.at(id);
  int64_t step = ServableStep(record);
  if (step < 0) {
    return absl::UnavailableError(absl::StrCat("run ", id, " (", StateWord(record.run.state()),
                                               ") has no checkpoint",
                                               IsFinished(record.run.state()) ? "" : " yet"));
  }
  if (wanted_step >= 0) {
    if (!HasCheckpoint(record, wanted_step)) {
      return absl::NotFoundError(absl::StrCat("run ", id, " has no checkpoint of step ",
                                              wanted_step, " (any more); run:", id,
                                              " is its best one, of step ", step));
    }
    step = wanted_step;
  }
  return ServableModel{.ref = ModelRef::Run(id, step),
                       .name = ModelRef::Run(id, wanted_step).ToString(),
                       .run = id,
                       .step = step,
                       .lease = leases->Acquire(id, step)};
}

bool RunLedger::MayRemoveCheckpoint(const std::string& id, int64_t step,
                                    const CheckpointLeases& leases) {
  MutexLock lock(&mu_);
  const auto found = runs_.find(id);
  if (found == runs_.end()) return false;
  RunRecord& record = found->second;
  if (ServableStep(record) == step || leases.IsHeld(id, step)) return false;
  std::vector<vit::v1::CheckpointInfo> kept = record.checkpoints;
  kept.erase(
      std::remove_if(kept.begin(), kept.end(), [&](const auto& c) { return c.step() == step; }),
      kept.end());
  SetCheckpoints(std::move(kept), &record);
  return true;
}

absl::Status RunLedger::CheckRoom() const {
  MutexLock lock(&mu_);
  return CheckRoomLocked();
}

absl::Status RunLedger::CheckRoomLocked() const {
  // While nothing runs, the first run of the queue is about to start and does not wait.
  const size_t starting = active_ == 0 ? 1 : 0;
  if (queue_.size() < options_.max_queued_runs + starting) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "the queue is full: ", queue_.size() - starting, " runs wait, and --max-queued-runs is ",
      options_.max_queued_runs, "; wait for one to end, stop one, or raise the limit"));
}

absl::StatusOr<RunRecord> RunLedger::Add(
    RunRecord record, const std::function<absl::Status(const RunRecord&)>& store_files,
    const std::function<void(const RunRecord&)>& remove_files, absl::Time now, bool* created) {
  *created = false;
  MutexLock write_lock(&write_mu_);
  if (!record.request_id.empty()) {
    if (std::optional<RunRecord> known = FindRequest(record.request_id)) return *std::move(known);
  }
  {
    MutexLock lock(&mu_);
    VIT_RETURN_IF_ERROR(CheckRoomLocked());
    do {
      record.run.set_id(MakeRunId(now));
    } while (runs_.count(record.run.id()) > 0);
    record.run.set_state(vit::v1::RUN_STATE_QUEUED);
    *record.run.mutable_create_time() = ToProto(now);
    record.queue_order = next_queue_order_;
  }
  absl::Status stored = store_files(record);
  if (stored.ok()) stored = options_.store->InsertRun(&record);
  if (!stored.ok()) {
    remove_files(record);
    return stored;
  }
  *created = true;
  MutexLock lock(&mu_);
  ++next_queue_order_;
  const RunRecord& added = runs_.emplace(record.run.id(), record).first->second;
  Index(added);
  Announce(added, TellChanged);
  queue_changed_.NotifyAll();
  record.run = View(added);
  return record;
}

absl::StatusOr<Run> RunLedger::Apply(const std::string& id, const Change& change) {
  MutexLock lock(&write_mu_);
  return Commit(id, change, StoreError::kFails);
}

absl::StatusOr<Run> RunLedger::Settle(const std::string& id, const Change& change) {
  MutexLock lock(&write_mu_);
  return Commit(id, change, StoreError::kIsNoted);
}

absl::StatusOr<Run> RunLedger::Enqueue(const std::string& id, const Change& change) {
  MutexLock write_lock(&write_mu_);
  std::optional<RunRecord> copy = Get(id);
  if (!copy.has_value()) return absl::NotFoundError(absl::StrCat("run ", id, " is deleted"));
  // A run that cannot be queued at all is reported before a full queue.
  VIT_RETURN_IF_ERROR(change(&*copy));
  int64_t order = 0;
  {
    MutexLock lock(&mu_);
    VIT_RETURN_IF_ERROR(CheckRoomLocked());
    order = next_queue_order_++;
  }
  return Commit(
      id,
      [&](RunRecord* record) -> absl::Status {
        VIT_RETURN_IF_ERROR(change(record));
        record->run.set_state(vit::v1::RUN_STATE_QUEUED);
        record->queue_order = order;
        return absl::OkStatus();
      },
      StoreError::kFails);
}

absl::StatusOr<Run> RunLedger::Commit(const std::string& id, const Change& change,
                                      StoreError on_store_error) {
  RunRecord copy;
  {
    MutexLock lock(&mu_);
    const auto found = runs_.find(id);
    if (found == runs_.end()) return UnknownRun(id);
    copy = found->second;
  }
  VIT_RETURN_IF_ERROR(change(&copy));
  const absl::Status stored = options_.store->UpdateRuns({&copy, 1});
  if (!stored.ok() && on_store_error == StoreError::kFails) return stored;

  MutexLock lock(&mu_);
  RunRecord& record = runs_.at(id);  // only Remove removes runs, under write_mu_
  const std::set<std::pair<int64_t, std::string>> queue_before = queue_;
  Unindex(record);
  const absl::Status changed = change(&record);
  if (!stored.ok()) {
    Run& run = record.run;
    run.set_message(absl::StrCat(run.message(), run.message().empty() ? "" : "; ",
                                 "not recorded: ", stored.message()));
  }
  Index(record);
  if (!changed.ok()) return changed;
  Announce(record, TellChanged);
  if (queue_ != queue_before) {
    // The others moved up.
    for (const auto& [order, queued] : queue_) options_.subscriptions->NotifyChanged(queued);
    queue_changed_.NotifyAll();
  }
  return View(record);
}

absl::Status RunLedger::Remove(const std::string& id, const Change& check,
                               const std::function<absl::Status()>& remove) {
  MutexLock write_lock(&write_mu_);
  std::optional<RunRecord> record = Get(id);
  if (!record.has_value()) {
    return absl::NotFoundError(absl::StrCat("run ", id, " is already deleted"));
  }
  VIT_RETURN_IF_ERROR(check(&*record));
  VIT_RETURN_IF_ERROR(remove());
  MutexLock lock(&mu_);
  const auto found = runs_.find(id);
  Unindex(found->second);
  runs_.erase(found);
  options_.subscriptions->NotifyChanged(id);
  if (options_.listener != nullptr) {
    options_.dispatcher->Post([listener = options_.listener, id] { listener->OnRunDeleted(id); });
  }
  return absl::OkStatus();
}

void RunLedger::Touch(const std::string& id, const std::function<void(RunRecord*)>& change,
                      const Tell& tell) {
  MutexLock lock(&mu_);
  const auto found = runs_.find(id);
  if (found == runs_.end()) return;
  const bool servable = ServableStep(found->second) >= 0;
  change(&found->second);
  if (servable != (ServableStep(found->second) >= 0)) {
    servable_.erase({found->second.start_order, id});
    if (!servable) servable_.emplace(found->second.start_order, id);
  }
  Announce(found->second, tell);
}

int64_t RunLedger::NextStartOrder() {
  MutexLock lock(&mu_);
  return ++last_start_order_;
}

std::optional<std::string> RunLedger::AwaitQueued() {
  MutexLock lock(&mu_);
  while (queue_.empty() && !closed_) queue_changed_.Wait(&mu_);
  if (closed_) return std::nullopt;
  return queue_.begin()->second;
}

void RunLedger::CloseQueue() {
  MutexLock lock(&mu_);
  closed_ = true;
  queue_changed_.NotifyAll();
}

}  // namespace vit
