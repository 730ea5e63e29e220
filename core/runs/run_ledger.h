// All runs, kept the same in memory and in the database.
#ifndef VIT_CORE_RUNS_RUN_LEDGER_H_
#define VIT_CORE_RUNS_RUN_LEDGER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/mutex.h"
#include "core/models/servable_model.h"
#include "core/runs/checkpoint_leases.h"
#include "core/runs/events/event_dispatcher.h"
#include "core/runs/events/subscriptions.h"
#include "core/runs/run_listener.h"
#include "core/runs/run_record.h"
#include "core/runs/store/run_store.h"

namespace vit {

// Holds every run's record, looks runs up, orders the queue, and announces each change to the
// listener and to the run's followers.
//
// Thread-safe, with two locks. Readers, and the trainer's progress, take only a short lock under
// which nothing waits. Lasting changes (Add, Apply, Settle, Enqueue, Remove) are made one at a time
// under the other: written to the database first, then made visible, so that nothing is announced
// that a crash could undo.
class RunLedger {
 public:
  struct Options {
    RunStore* store = nullptr;
    EventDispatcher* dispatcher = nullptr;
    Subscriptions* subscriptions = nullptr;
    RunListener* listener = nullptr;  // may be null
    int max_queued_runs = 100;
  };
  // Takes over what the store holds (already reconciled) and announces it.
  RunLedger(Options options, std::vector<RunRecord> records);

  std::optional<RunRecord> Get(const std::string& id) const;
  std::optional<RunRecord> FindRequest(const std::string& request_id) const;
  // Returns the id of the run that `query` names by id, name or prefix of an id; "" or "latest" is
  // the most recently started run, or the most recently created if none was started. NOT_FOUND, or
  // INVALID_ARGUMENT if several match.
  absl::StatusOr<std::string> Find(const std::string& query) const;
  vit::v1::ListRunsResponse List(const std::set<vit::v1::RunState>& states, int page_size,
                                 int64_t before_sequence) const;

  // Returns the checkpoint that `ref` (RunManager::Find) means now, without its directory. Leases
  // it under the lock that MayRemoveCheckpoint takes.
  absl::StatusOr<ServableModel> LeaseServable(const ModelRef& ref, CheckpointLeases* leases) const;
  // Returns whether the checkpoint of `step` is neither leased nor one that LeaseServable could
  // return; forgets it in that case.
  bool MayRemoveCheckpoint(const std::string& id, int64_t step, const CheckpointLeases& leases);

  // Stores and queues a new run, which gets its id and place here. If its request_id is known,
  // returns the known run, and `created` is false. RESOURCE_EXHAUSTED for a full queue. Calls
  // `store_files` before it stores the run, and `remove_files` after a database error.
  absl::StatusOr<RunRecord> Add(RunRecord record,
                                const std::function<absl::Status(const RunRecord&)>& store_files,
                                const std::function<void(const RunRecord&)>& remove_files,
                                absl::Time now, bool* created);
  // RESOURCE_EXHAUSTED if no further run can be queued.
  absl::Status CheckRoom() const;

  // Changes a record; an error leaves everything as it was. Called more than once, on copies of the
  // same lasting state, and must do the same each time.
  using Change = std::function<absl::Status(RunRecord*)>;
  // NOT_FOUND if the run no longer exists.
  absl::StatusOr<vit::v1::Run> Apply(const std::string& id, const Change& change);
  // Like Apply, for what has already happened, whether or not the database can store it: a database
  // error goes into the run's message.
  absl::StatusOr<vit::v1::Run> Settle(const std::string& id, const Change& change);
  // Like Apply, and puts the run at the end of the queue.
  absl::StatusOr<vit::v1::Run> Enqueue(const std::string& id, const Change& change);
  // Removes a run: calls `check` as in Apply, then `remove`, which deletes it from the database (an
  // error keeps the run), then forgets it in memory.
  absl::Status Remove(const std::string& id, const Change& check,
                      const std::function<absl::Status()>& remove);

  using Tell = std::function<void(RunListener*, const vit::v1::Run&)>;
  // Changes progress in memory only, never the state or the place in the queue; the database gets
  // it with the next lasting change. `tell`, if given, is called later with the run as it was then.
  void Touch(const std::string& id, const std::function<void(RunRecord*)>& change,
             const Tell& tell = nullptr);

  // Returns the start_order of the run that starts now.
  int64_t NextStartOrder();

  // Waits until a run is queued, and returns the first; empty once CloseQueue was called.
  std::optional<std::string> AwaitQueued();
  void CloseQueue();

 private:
  using Table = std::map<std::string, RunRecord>;

  absl::StatusOr<std::string> FindLocked(const std::string& query) const VIT_REQUIRES(mu_);
  absl::Status UnknownRun(const std::string& query) const VIT_REQUIRES(mu_);
  absl::Status CheckRoomLocked() const VIT_REQUIRES(mu_);
  void Index(const RunRecord& record) VIT_REQUIRES(mu_);
  void Unindex(const RunRecord& record) VIT_REQUIRES(mu_);
  vit::v1::Run View(const RunRecord& record) const VIT_REQUIRES(mu_);
  void Announce(const RunRecord& record, const Tell& tell) VIT_REQUIRES(mu_);
  enum class StoreError { kFails, kIsNoted };
  absl::StatusOr<vit::v1::Run> Commit(const std::string& id, const Change& change,
                                      StoreError on_store_error) VIT_REQUIRES(write_mu_);

  const Options options_;
  mutable Mutex write_mu_;  // before mu_
  mutable Mutex mu_;
  CondVar queue_changed_;
  Table runs_ VIT_GUARDED_BY(mu_);
  std::map<int64_t, std::string> by_sequence_ VIT_GUARDED_BY(mu_);
  std::multimap<std::string, std::string> by_name_ VIT_GUARDED_BY(mu_);
  std::map<std::string, std::string> by_request_ VIT_GUARDED_BY(mu_);
  std::set<std::pair<int64_t, std::string>> queue_ VIT_GUARDED_BY(mu_);
  // By start_order.
  std::set<std::pair<int64_t, std::string>> started_ VIT_GUARDED_BY(mu_);
  std::set<std::pair<int64_t, std::string>> servable_ VIT_GUARDED_BY(mu_);
  int active_ VIT_GUARDED_BY(mu_) = 0;  // RUNNING or STOPPING
  int64_t next_queue_order_ VIT_GUARDED_BY(mu_) = 0;
  int64_t last_start_order_ VIT_GUARDED_BY(mu_) = 0;
  bool closed_ VIT_GUARDED_BY(mu_) = false;
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_RUN_LEDGER_H_
