// All runs, in memory and in the database, in step.
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
#include "core/runs/event_dispatcher.h"
#include "core/runs/run_listener.h"
#include "core/runs/run_record.h"
#include "core/runs/store/run_store.h"
#include "core/runs/subscriptions.h"

namespace vit {

// Holds every run's record, looks runs up, orders the queue, and announces each change to the
// listener and to who follows the run.
//
// Thread-safe, with two locks. Readers, and the trainer's progress, take only a short one under
// which nothing waits. Lasting changes (Add, Apply, Settle, Enqueue, Remove) are made one at a time
// under another: written to the database first, then visible, so that nobody is told what a crash
// could undo.
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
  // The id that `query` means: an id, a name, a prefix of an id; "" or "latest" is the most
  // recently started run, or the most recently created where none was started. NOT_FOUND, or
  // INVALID_ARGUMENT where it means several.
  absl::StatusOr<std::string> Find(const std::string& query) const;
  vit::v1::ListRunsResponse List(const std::set<vit::v1::RunState>& states, int page_size,
                                 int64_t before_sequence) const;

  // The checkpoint that `ref` (RunManager::Find) means now, but for its directory. Leased under the
  // same lock that MayRemoveCheckpoint takes.
  absl::StatusOr<ServableModel> LeaseServable(const ModelRef& ref, CheckpointLeases* leases) const;
  // Whether the checkpoint of `step` is neither leased nor one that LeaseServable could give out;
  // it is then forgotten.
  bool MayRemoveCheckpoint(const std::string& id, int64_t step, const CheckpointLeases& leases);

  // Stores and queues a new run, which gets its id and place here. Where its request_id is known,
  // returns that run, and `created` is false. RESOURCE_EXHAUSTED for a full queue. `store_files`
  // runs before the run is stored; after an error of the database, `remove_files` does.
  absl::StatusOr<RunRecord> Add(RunRecord record,
                                const std::function<absl::Status(const RunRecord&)>& store_files,
                                const std::function<void(const RunRecord&)>& remove_files,
                                absl::Time now, bool* created);
  // RESOURCE_EXHAUSTED where no further run can be queued.
  absl::Status CheckRoom() const;

  // What to change; an error leaves everything as it was. Called more than once, on copies of the
  // same lasting state, and must do the same each time.
  using Change = std::function<absl::Status(RunRecord*)>;
  // NOT_FOUND where there is no such run any more.
  absl::StatusOr<vit::v1::Run> Apply(const std::string& id, const Change& change);
  // As Apply, for what has happened already and is so whether or not the database can take it: an
  // error of the database goes into the run's message.
  absl::StatusOr<vit::v1::Run> Settle(const std::string& id, const Change& change);
  // As Apply, and puts the run at the end of the queue.
  absl::StatusOr<vit::v1::Run> Enqueue(const std::string& id, const Change& change);
  // Forgets a run: `check` as in Apply; then `remove`, which takes it out of the database (an error
  // keeps the run); then the memory.
  absl::Status Remove(const std::string& id, const Change& check,
                      const std::function<absl::Status()>& remove);

  using Tell = std::function<void(RunListener*, const vit::v1::Run&)>;
  // Changes progress in memory alone; the database gets it with the next lasting change. Never the
  // state or the place in the queue. `tell`, where given, is called later with the run as it was
  // then.
  void Touch(const std::string& id, const std::function<void(RunRecord*)>& change,
             const Tell& tell = nullptr);

  // The start_order of the run that starts now.
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
