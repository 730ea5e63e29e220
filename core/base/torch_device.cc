#include "core/base/torch_device.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <utility>

namespace vit {

at::Tensor HostTensor(HostBuffer buffer, at::IntArrayRef sizes) {
  const auto bytes = static_cast<int64_t>(buffer.size());
  const HostBuffer::Block block = buffer.Release();
  c10::Storage storage(
      c10::Storage::use_byte_size_t(), bytes,
      c10::DataPtr(block.data, block.context, block.deleter, c10::Device(c10::kCPU)),
      /*allocator=*/nullptr, /*resizable=*/false);
  at::Tensor tensor = at::empty({0}, at::kByte);
  return tensor.set_(std::move(storage), 0, sizes, c10::contiguous_strides(sizes));
}

at::Tensor ToDevice(const at::Tensor& host, c10::Device device) {
  if (device.is_cpu()) return host;
  return host.pin_memory().to(device, /*non_blocking=*/true);
}

std::optional<c10::Stream> HighPriorityStream(c10::Device device) {
  if (device.is_cpu()) return std::nullopt;
  return c10::impl::VirtualGuardImpl(device.type())
      .getStreamFromGlobalPool(device, /*isHighPriority=*/true);
}

void AwaitDevice(c10::Device device) {
  if (device.is_cpu()) return;
  c10::impl::VirtualGuardImpl(device.type()).getStream(device).synchronize();
}

UseStream::UseStream(const std::optional<c10::Stream>& stream) {
  if (!stream.has_value()) return;
  outer_ = c10::impl::VirtualGuardImpl(stream->device_type()).exchangeStream(*stream);
}

UseStream::~UseStream() {
  if (outer_.has_value()) {
    c10::impl::VirtualGuardImpl(outer_->device_type()).exchangeStream(*outer_);
  }
}

}  // namespace vit
