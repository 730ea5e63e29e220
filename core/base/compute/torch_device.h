// Device as LibTorch knows it.
#ifndef VIT_CORE_BASE_COMPUTE_TORCH_DEVICE_H_
#define VIT_CORE_BASE_COMPUTE_TORCH_DEVICE_H_

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/Stream.h>

#include <optional>

#include "core/base/compute/device.h"
#include "core/base/compute/host_buffer.h"

namespace vit {

inline c10::Device TorchDevice(const Device& device) {
  return device.kind() == Device::Kind::kCuda
             ? c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device.index()))
             : c10::Device(c10::DeviceType::CPU);
}

// Uninitialised host memory that CUDA devices copy from by themselves. Freeing it does not throw,
// even if the device is lost.
c10::DataPtr PinnedMemory(size_t bytes);

// Returns the buffer as a byte tensor of shape `sizes`, which must fit it; the tensor owns it.
at::Tensor HostTensor(HostBuffer buffer, at::IntArrayRef sizes);

// Copies `host`, a small tensor, to `device` without waiting: later work of the calling thread on
// the device sees the copy. Returns `host` itself if that is the CPU.
at::Tensor ToDevice(const at::Tensor& host, c10::Device device);

// An uninitialised host tensor, pinned unless `device` is the CPU.
at::Tensor EmptyHostTensor(at::IntArrayRef sizes, at::ScalarType type, c10::Device device);

// The device's streams for work that must not wait behind training: one for serving, one for
// copying batches. None on the CPU. Always the same streams, because CUDA's libraries never release
// what they keep for a stream.
std::optional<c10::Stream> ServingStream(c10::Device device);
std::optional<c10::Stream> CopyStream(c10::Device device);

// Sets the device of compute threads: makes `device` the calling thread's, and from now on that of
// every thread that calls AdoptDevice. Otherwise it is CUDA's first, whichever tensors are used.
void SetProcessDevice(c10::Device device);
void AdoptDevice();
// From now on AdoptDevice does nothing.
void ForgetProcessDevice();

// Waits for the calling thread's work on `device`; does nothing on the CPU.
void AwaitDevice(c10::Device device);

// While it lives, the calling thread's work on the device goes to `stream`, if there is one.
class UseStream {
 public:
  explicit UseStream(const std::optional<c10::Stream>& stream);
  ~UseStream();
  UseStream(const UseStream&) = delete;

 private:
  std::optional<c10::Stream> outer_;
};

}  // namespace vit

#endif  // VIT_CORE_BASE_COMPUTE_TORCH_DEVICE_H_
