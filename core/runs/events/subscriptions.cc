#include "core/runs/events/subscriptions.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace vit {

class Subscriptions::Subscriber {
 public:
  explicit Subscriber(std::function<void()> on_change) : on_change_(std::move(on_change)) {}

  void Call() {
    {
      MutexLock lock(&mu_);
      if (cancelled_) return;
      calling_ = true;
      caller_ = std::this_thread::get_id();
    }
    on_change_();
    MutexLock lock(&mu_);
    calling_ = false;
    idle_.NotifyAll();
  }

  void Cancel() {
    MutexLock lock(&mu_);
    cancelled_ = true;
    while (calling_ && caller_ != std::this_thread::get_id()) idle_.Wait(&mu_);
  }

 private:
  const std::function<void()> on_change_;
  Mutex mu_;
  CondVar idle_;
  bool cancelled_ VIT_GUARDED_BY(mu_) = false;
  bool calling_ VIT_GUARDED_BY(mu_) = false;
  std::thread::id caller_ VIT_GUARDED_BY(mu_);
};

Subscriptions::Subscriptions(EventDispatcher* dispatcher) : dispatcher_(dispatcher) {}

std::shared_ptr<void> Subscriptions::Add(const std::string& run, std::function<void()> on_change) {
  auto subscriber = std::make_shared<Subscriber>(std::move(on_change));
  {
    MutexLock lock(&registry_->mu);
    registry_->by_run[run].push_back(subscriber);
  }
  return std::shared_ptr<void>(subscriber.get(), [registry = registry_, run, subscriber](void*) {
    {
      MutexLock lock(&registry->mu);
      auto found = registry->by_run.find(run);
      auto& all = found->second;
      all.erase(std::find(all.begin(), all.end(), subscriber));
      if (all.empty()) registry->by_run.erase(found);
    }
    subscriber->Cancel();
  });
}

void Subscriptions::NotifyChanged(const std::string& run) {
  {
    MutexLock lock(&registry_->mu);
    if (registry_->by_run.count(run) == 0 || !registry_->pending.insert(run).second) return;
  }
  dispatcher_->Post([registry = registry_, run] {
    std::vector<std::shared_ptr<Subscriber>> subscribers;
    {
      MutexLock lock(&registry->mu);
      // Cleared before the calls: a change during them must be reported again.
      registry->pending.erase(run);
      auto found = registry->by_run.find(run);
      if (found != registry->by_run.end()) subscribers = found->second;
    }
    for (const auto& subscriber : subscribers) subscriber->Call();
  });
}

}  // namespace vit
