// One thread that delivers events in the order they were posted.
#ifndef VIT_CORE_RUNS_EVENTS_EVENT_DISPATCHER_H_
#define VIT_CORE_RUNS_EVENTS_EVENT_DISPATCHER_H_

#include <deque>
#include <functional>
#include <thread>

#include "core/base/mutex.h"

namespace vit {

// Lets code that holds locks announce events: Post only appends to a list, and the events run one
// after another on the dispatcher's own thread, with no lock held. Thread-safe. Destruction runs
// the posted events, then joins.
class EventDispatcher {
 public:
  EventDispatcher();
  ~EventDispatcher();
  EventDispatcher(const EventDispatcher&) = delete;
  EventDispatcher& operator=(const EventDispatcher&) = delete;

  // Never blocks. `event` must not throw.
  void Post(std::function<void()> event);
  // Returns once everything posted before has run. Must not be called from an event.
  void Flush();

 private:
  void Run();

  Mutex mu_;
  CondVar posted_;
  std::deque<std::function<void()>> events_ VIT_GUARDED_BY(mu_);
  bool stopping_ VIT_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: joins before anything it uses is destroyed
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_EVENTS_EVENT_DISPATCHER_H_
