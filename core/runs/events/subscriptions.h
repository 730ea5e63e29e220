// The followers of each run.
#ifndef VIT_CORE_RUNS_EVENTS_SUBSCRIPTIONS_H_
#define VIT_CORE_RUNS_EVENTS_SUBSCRIPTIONS_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/base/mutex.h"
#include "core/runs/events/event_dispatcher.h"

namespace vit {

// Holds callbacks by run. Changes that come faster than they can be delivered are delivered once.
// Thread-safe. Handles may outlive this object; their callbacks are then no longer called.
class Subscriptions {
 public:
  // `dispatcher` must outlive this object.
  explicit Subscriptions(EventDispatcher* dispatcher);

  // `on_change` is called on the dispatcher's thread until the handle is destroyed. Destroying it
  // waits for a call in progress, except from within that call.
  std::shared_ptr<void> Add(const std::string& run, std::function<void()> on_change);

  // Calls all followers of `run` soon. Never blocks.
  void NotifyChanged(const std::string& run);

 private:
  class Subscriber;
  struct Registry {
    Mutex mu;
    std::map<std::string, std::vector<std::shared_ptr<Subscriber>>> by_run VIT_GUARDED_BY(mu);
    std::set<std::string> pending VIT_GUARDED_BY(mu);
  };
  EventDispatcher* const dispatcher_;
  const std::shared_ptr<Registry> registry_ = std::make_shared<Registry>();
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_EVENTS_SUBSCRIPTIONS_H_
