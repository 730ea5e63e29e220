#include "core/runs/events/event_dispatcher.h"

#include <utility>

namespace vit {

EventDispatcher::EventDispatcher() : thread_([this] { Run(); }) {}

EventDispatcher::~EventDispatcher() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    posted_.NotifyAll();
  }
  thread_.join();
}

void EventDispatcher::Post(std::function<void()> event) {
  MutexLock lock(&mu_);
  events_.push_back(std::move(event));
  posted_.NotifyOne();
}

void EventDispatcher::Flush() {
  Mutex mu;
  CondVar changed;
  bool reached = false;
  Post([&] {
    MutexLock lock(&mu);
    reached = true;
    changed.NotifyAll();
  });
  MutexLock lock(&mu);
  while (!reached) changed.Wait(&mu);
}

void EventDispatcher::Run() {
  while (true) {
    std::deque<std::function<void()>> batch;
    {
      MutexLock lock(&mu_);
      while (events_.empty() && !stopping_) posted_.Wait(&mu_);
      if (events_.empty()) return;
      batch.swap(events_);
    }
    for (std::function<void()>& event : batch) event();
  }
}

}  // namespace vit
