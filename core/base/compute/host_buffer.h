// Memory of the host that a device reads from.
#ifndef VIT_CORE_BASE_COMPUTE_HOST_BUFFER_H_
#define VIT_CORE_BASE_COMPUTE_HOST_BUFFER_H_

#include <cstddef>
#include <cstdint>

#include "core/base/compute/device.h"

namespace vit {

// Bytes that `device` copies at its full speed: of a CUDA device's, pages that stay where they are
// ("pinned"), so that copying needs no processor. Not initialised. The memory of a buffer that goes
// is kept for the next one of its size, as soon as no copy reads from it any more. Movable.
class HostBuffer {
 public:
  HostBuffer() = default;
  // Throws where there is no memory left.
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
  // Lets go of the bytes from `size` on, which is at most size().
  void Shrink(size_t size) { size_ = size; }

  // LibTorch's allocation behind it, and who takes it back; core/base/torch_device.h makes a tensor
  // of it.
  struct Block {
    void* data = nullptr;
    void* context = nullptr;
    void (*deleter)(void*) = nullptr;
  };
  // Gives the allocation away; the buffer is empty then.
  Block Release();

 private:
  Block block_;
  size_t size_ = 0;
};

}  // namespace vit

#endif  // VIT_CORE_BASE_COMPUTE_HOST_BUFFER_H_
