// Host memory that a device reads from.
#ifndef VIT_CORE_BASE_COMPUTE_HOST_BUFFER_H_
#define VIT_CORE_BASE_COMPUTE_HOST_BUFFER_H_

#include <cstddef>
#include <cstdint>

#include "core/base/compute/device.h"

namespace vit {

// Bytes that `device` copies at full speed: for a CUDA device, pages that stay in place ("pinned"),
// so that copying needs no processor. Not initialised. The memory of a destroyed buffer is kept for
// the next one of its size, once no copy reads from it any more. Movable.
class HostBuffer {
 public:
  HostBuffer() = default;
  // Throws if no memory is left.
  HostBuffer(size_t bytes, const Device& device);
  HostBuffer(HostBuffer&& other) noexcept;
  HostBuffer& operator=(HostBuffer&& other) noexcept;
  ~HostBuffer();

  uint8_t* data() { return static_cast<uint8_t*>(block_.data); }
  const uint8_t* data() const { return static_cast<const uint8_t*>(block_.data); }
  size_t size() const { return size_; }
  const uint8_t* begin() const { return data(); }
  const uint8_t* end() const { return data() + size_; }
  const uint8_t& operator[](size_t i) const { return data()[i]; }
  // Drops the bytes from `size` on; `size` is at most size().
  void Shrink(size_t size) { size_ = size; }

  // LibTorch's allocation behind it, and its deleter; core/base/compute/torch_device.h makes a
  // tensor of it.
  struct Block {
    void* data = nullptr;
    void* context = nullptr;
    void (*deleter)(void*) = nullptr;
  };
  // Hands the allocation to the caller and leaves the buffer empty.
  Block Release();

 private:
  Block block_;
  size_t size_ = 0;
};

}  // namespace vit

#endif  // VIT_CORE_BASE_COMPUTE_HOST_BUFFER_H_
