// Answers requests to models: decode, preprocess, batch, forward, answer. Images go in as bytes,
// scores come out as floats.
#ifndef VIT_CORE_INFER_INFERENCE_ENGINE_H_
#define VIT_CORE_INFER_INFERENCE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/compute/compute_budget.h"
#include "core/base/compute/device.h"
#include "core/base/compute/serving_objective.h"
#include "core/data/image/image.h"
#include "core/infer/admission.h"
#include "core/infer/frozen_model.h"
#include "core/infer/inference_observer.h"
#include "core/infer/inference_request.h"
#include "core/models/servable_model.h"
#include "vit/v1/inference.pb.h"

namespace vit {

// Serves any number of models. Loads a model when it is first asked for, and keeps the
// `max_loaded_models` that were last used. When a model's checkpoint changes, the new one is loaded
// and warmed up while the old one serves, then swapped in; requests in flight end on the one they
// began with, and no call fails because of it.
//
// Thread-safe. Destruction answers what is queued with UNAVAILABLE and waits for what is being
// computed.
class InferenceEngine {
 public:
  struct Options {
    Device device = Device::Cpu();
    ComputeBudget budget;
    FrozenModel::PrepareOptions prepare;
    int max_batch_size = 32;
    // How long the oldest image may wait for others once the device is free. Batches form anyway
    // while the previous one is computed, so waiting only costs time unless the device is much
    // faster with large batches.
    absl::Duration max_queue_delay = absl::ZeroDuration();
    // Images accepted and not answered yet; RESOURCE_EXHAUSTED beyond one of these.
    Admission::Limits queue;
    // Of calls without a deadline.
    absl::Duration default_timeout = absl::InfiniteDuration();
    int max_images_per_request = 256;
    int max_loaded_models = 4;
    InferenceObserver* observer = nullptr;  // may be null
    // Learns what is served and how fast; may be null.
    ServingObjective* objective = nullptr;
    // Called on a thread of the engine when a batch could not be computed, or a model not loaded:
    // the device may be lost.
    std::function<void(const absl::Status& why)> on_failure = [](const absl::Status&) {};
    Clock* clock = Clock::Real();
  };
  // `source`, the observer and the objective must outlive the engine. INVALID_ARGUMENT names an
  // option that is out of range.
  static absl::StatusOr<std::unique_ptr<InferenceEngine>> Create(ModelSource* source,
                                                                 const Options& options);
  virtual ~InferenceEngine() = default;

  // Answers `request`; `done` runs exactly once, on a thread of the engine or the caller's.
  // Statuses as in inference.proto: a request whose only image is bad fails as a whole; in a
  // request with several, an undecodable image fails alone.
  virtual void Infer(InferenceRequest request,
                     std::function<void(absl::StatusOr<InferenceAnswer>)> done) = 0;

  // The same for the requests of inference.proto, which must live until `done` is called.
  void Classify(const vit::v1::ClassifyRequest& request, const CallContext& context,
                std::function<void(absl::StatusOr<vit::v1::ClassifyResponse>)> done);
  void Embed(const vit::v1::EmbedRequest& request, const CallContext& context,
             std::function<void(absl::StatusOr<vit::v1::EmbedResponse>)> done);
  void Explain(const vit::v1::ExplainRequest& request, const CallContext& context,
               std::function<void(absl::StatusOr<vit::v1::ExplainResponse>)> done);

  // Passes what `model` means now to `done`, once it is loaded: immediately, or on a thread of the
  // engine.
  virtual void Load(
      const std::string& model,
      std::function<void(absl::StatusOr<std::shared_ptr<const FrozenModel>>)> done) = 0;

  // Does so and waits for it.
  virtual absl::Status Preload(const std::string& model) = 0;

  // Releases a model (ServableModel's name) and its files. Requests that it is working on are still
  // answered.
  virtual void Unload(const std::string& name) = 0;
  // Does the same for every model of the run with that id, whatever its step.
  virtual void UnloadRun(const std::string& run) = 0;

  // Returns the models in memory, by name, with their versions.
  virtual std::map<std::string, int64_t> Loaded() const = 0;

 private:
  // Answers a request that is wrong in itself, and reports it.
  virtual void Refuse(const InferenceRequest& request, const absl::Status& why,
                      const std::function<void(const absl::Status&)>& done) = 0;
};

}  // namespace vit

#endif  // VIT_CORE_INFER_INFERENCE_ENGINE_H_
