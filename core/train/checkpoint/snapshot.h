// Copies of tensors at one moment.
#ifndef VIT_CORE_TRAIN_CHECKPOINT_SNAPSHOT_H_
#define VIT_CORE_TRAIN_CHECKPOINT_SNAPSHOT_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "core/train/optim/optimizer.h"

namespace vit {

// Copies named tensors to the host. Tensors that share an allocation, such as the members of a
// ParameterGroup, are copied in one piece. The host memory is reused the next time. For one thread
// at a time.
class Snapshot {
 public:
  // `live`: the same names, shapes and grouping each time. On a CUDA device the copies may still be
  // running when this returns: see AwaitDevice.
  void Take(const NamedTensors& live);

  const NamedTensors& tensors() const { return tensors_; }

 private:
  std::vector<at::Tensor> blocks_;  // flat, in the order in which Take meets them
  NamedTensors tensors_;            // views of the blocks
};

}  // namespace vit

#endif  // VIT_CORE_TRAIN_CHECKPOINT_SNAPSHOT_H_
