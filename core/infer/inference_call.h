// A request in progress, and its images on their way to a batch.
#ifndef VIT_CORE_INFER_INFERENCE_CALL_H_
#define VIT_CORE_INFER_INFERENCE_CALL_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/task_pool.h"
#include "core/infer/admission.h"
#include "core/infer/frozen_model.h"
#include "core/infer/inference_request.h"

namespace vit {

// Its images finish in any order, on any thread; the last one answers.
struct InferenceCall {
  InferenceRequest request;
  std::function<void(absl::StatusOr<InferenceAnswer>)> done;
  Admission::Demand demand;  // its model: ServableModel's name, before it is loaded
  absl::Time arrival;
  std::shared_ptr<const FrozenModel> model;
  std::vector<absl::StatusOr<Computed>> results;
  std::atomic<int> left{0};
  // Evicts its images when the caller goes away.
  std::optional<std::stop_callback<std::function<void()>>> on_cancel;
};

// What the images of a batch have in common.
struct BatchKind {
  const FrozenModel* model;
  Work work;
  bool operator==(const BatchKind&) const = default;
};

// An image that waits for its batch.
struct ImageTask {
  BatchKind kind;
  TaskPriority priority;
  absl::Time deadline;
  std::stop_token cancelled;
  absl::Time arrival;
  std::shared_ptr<InferenceCall> call;
  int index;
  PreparedImage image;

  const std::string& model() const { return kind.model->name(); }
};

}  // namespace vit

#endif  // VIT_CORE_INFER_INFERENCE_CALL_H_
