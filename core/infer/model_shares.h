// How much of the device each model had.
#ifndef VIT_CORE_INFER_MODEL_SHARES_H_
#define VIT_CORE_INFER_MODEL_SHARES_H_

#include <algorithm>
#include <limits>
#include <map>
#include <string>

namespace vit {

// Counts for each model with tasks in a queue or a batch. A model that joins starts with the least
// that another has used, so that it neither has to wait for all that they had before nor may take
// as much. Not thread-safe.
class ModelShares {
 public:
  // A task begins to wait, or `count` of them no longer do. Return how many of the model's wait.
  int Add(const std::string& model) {
    const auto [known, is_new] = models_.try_emplace(model);
    if (is_new && models_.size() > 1) {
      double& used = known->second.used;
      used = std::numeric_limits<double>::infinity();
      for (const auto& [name, other] : models_) used = std::min(used, other.used);
    }
    return ++known->second.waiting;
  }
  int Remove(const std::string& model, int count) {
    const auto known = models_.find(model);
    const int waiting = known->second.waiting -= count;
    EraseIfIdle(known);
    return waiting;
  }

  // A batch of the model begins, and ends after `used` seconds of all its threads.
  void BeginBatch(const std::string& model) { ++models_.at(model).computing; }
  void EndBatch(const std::string& model, double used) {
    const auto known = models_.find(model);
    known->second.used += used;
    --known->second.computing;
    EraseIfIdle(known);
  }

  // Seconds of all threads, since the model's first task or what others had then.
  double used(const std::string& model) const { return models_.at(model).used; }

 private:
  struct Share {
    int waiting = 0;
    int computing = 0;
    double used = 0;
  };
  using Shares = std::map<std::string, Share>;

  void EraseIfIdle(Shares::iterator share) {
    if (share->second.waiting == 0 && share->second.computing == 0) models_.erase(share);
  }

  Shares models_;
};

}  // namespace vit

#endif  // VIT_CORE_INFER_MODEL_SHARES_H_
