// Copies of tensors as they are at one moment. Only for the rooms that compute.
#ifndef VIT_CORE_TRAIN_CHECKPOINT_SNAPSHOT_H_
#define VIT_CORE_TRAIN_CHECKPOINT_SNAPSHOT_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "core/train/optim/optimizer.h"

namespace vit {

// Copies named tensors to the host. Those that are parts of one allocation, as the members of a
// ParameterGroup are, are copied as a whole. The host memory is kept for the next time. One thread
// at a time.
class Snapshot {
 public:
  // `live`: of the same names, shapes and grouping each time. On a CUDA device the copies are on
  // their way when this returns: see AwaitDevice.
  void Take(const NamedTensors& live);

  const NamedTensors& tensors() const { return tensors_; }

 private:
  std::vector<at::Tensor> blocks_;  // flat, in the order in which Take meets them
  NamedTensors tensors_;            // views of the blocks
};

}  // namespace vit

#endif  // VIT_CORE_TRAIN_CHECKPOINT_SNAPSHOT_H_
