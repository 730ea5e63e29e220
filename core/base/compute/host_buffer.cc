#include "core/base/compute/host_buffer.h"

#include <c10/core/Allocator.h>

#include <utility>

#include "core/base/compute/torch_device.h"

namespace vit {

HostBuffer::HostBuffer(size_t bytes, const Device& device) : size_(bytes) {
  c10::DataPtr allocated = device.kind() == Device::Kind::kCuda
                               ? PinnedMemory(bytes)
                               : c10::GetAllocator(c10::kCPU)->allocate(bytes);
  block_.data = allocated.get();
  block_.deleter = allocated.get_deleter();
  block_.context = allocated.release_context();
}

HostBuffer::HostBuffer(HostBuffer&& other) noexcept
    : block_(other.block_), size_(std::exchange(other.size_, 0)) {
  other.block_ = {};
}

HostBuffer& HostBuffer::operator=(HostBuffer&& other) noexcept {
  std::swap(block_, other.block_);
  std::swap(size_, other.size_);
  return *this;
}

HostBuffer::~HostBuffer() {
  if (block_.context != nullptr) block_.deleter(block_.context);
}

HostBuffer::Block HostBuffer::Release() {
  size_ = 0;
  return std::exchange(block_, {});
}

}  // namespace vit
