// The checkpoints of runs, as inference asks for them.
#ifndef VIT_SERVER_RUN_CHECKPOINTS_H_
#define VIT_SERVER_RUN_CHECKPOINTS_H_

#include <string>

#include "core/infer/inference_engine.h"
#include "core/runs/run_manager.h"

namespace vit {

// Thread-safe.
class RunCheckpoints : public CheckpointSource {
 public:
  // `runs` must outlive this.
  explicit RunCheckpoints(RunManager* runs) : runs_(runs) {}

  absl::StatusOr<ServableCheckpoint> FindCheckpoint(const std::string& model) override;

 private:
  RunManager* const runs_;
};

}  // namespace vit

#endif  // VIT_SERVER_RUN_CHECKPOINTS_H_
