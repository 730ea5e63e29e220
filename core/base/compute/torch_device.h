// Device as LibTorch knows it; only for the rooms that compute.
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

// Uninitialised memory of the host that CUDA devices copy from by themselves. Freeing it throws
// nothing, even where the device is lost.
c10::DataPtr PinnedMemory(size_t bytes);

// The buffer as bytes of the shape `sizes`, which it must hold; the tensor owns it.
at::Tensor HostTensor(HostBuffer buffer, at::IntArrayRef sizes);

// A copy of `host`, a small tensor, on `device`, which nobody waits for: it is there for what the
// calling thread gives the device to do next. `host` itself where that is the CPU.
at::Tensor ToDevice(const at::Tensor& host, c10::Device device);

// An uninitialised tensor of the host, pinned where `device` is not the CPU.
at::Tensor EmptyHostTensor(at::IntArrayRef sizes, at::ScalarType type, c10::Device device);

// The device's streams for what must not wait behind training: one for all that is served, one for
// batches on their way. None on the CPU. The same each time: what CUDA's libraries keep for a
// stream they keep for ever.
std::optional<c10::Stream> ServingStream(c10::Device device);
std::optional<c10::Stream> CopyStream(c10::Device device);

// The device that threads which compute work on: makes `device` the calling thread's, and from now
// on that of every thread that calls AdoptDevice. Otherwise it is CUDA's first, whatever tensors
// are used.
void SetProcessDevice(c10::Device device);
void AdoptDevice();

// Waits for what the calling thread gave `device` to do; nothing on the CPU.
void AwaitDevice(c10::Device device);

// While it lives, what the calling thread gives the device goes to `stream`, where there is one.
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
