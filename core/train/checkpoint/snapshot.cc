#include "core/train/checkpoint/snapshot.h"

#include <ATen/ATen.h>

#include <map>

#include "core/base/compute/torch_device.h"

namespace vit {
namespace {

// Returns the whole allocation that `tensor` is part of, flat.
at::Tensor Whole(const at::Tensor& tensor) {
  const auto elements = static_cast<int64_t>(tensor.storage().nbytes() / tensor.element_size());
  return tensor.detach().as_strided({elements}, {1}, 0);
}

}  // namespace

void Snapshot::Take(const NamedTensors& live) {
  const bool first = tensors_.empty();
  std::map<const void*, size_t> block_of;  // by the address of the allocation
  for (const auto& [name, tensor] : live) {
    const auto [it, is_new] = block_of.emplace(tensor.storage().data(), block_of.size());
    if (is_new) {
      const at::Tensor whole = Whole(tensor);
      if (first) {
        blocks_.push_back(EmptyHostTensor(whole.sizes(), whole.scalar_type(), whole.device()));
      }
      blocks_[it->second].copy_(whole, /*non_blocking=*/true);
    }
    if (first) {
      tensors_.emplace_back(name, blocks_[it->second].as_strided(tensor.sizes(), tensor.strides(),
                                                                 tensor.storage_offset()));
    }
  }
}

}  // namespace vit
