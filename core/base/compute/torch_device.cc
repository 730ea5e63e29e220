#include "core/base/compute/torch_device.h"

#include <ATen/ATen.h>
#include <ATen/core/CachingHostAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <atomic>
#include <exception>
#include <map>
#include <new>
#include <utility>

#include "absl/strings/match.h"
#include "core/base/mutex.h"

namespace vit {
namespace {

// The deleter of LibTorch's pinned allocator, the same for all its blocks.
std::atomic<void (*)(void*)> free_pinned = nullptr;

// Freeing a block that a copy has read from records an event on the device, which throws if the
// device is lost. A destructor must not throw: the block is lost with the device.
void FreePinned(void* context) {
  try {
    free_pinned.load()(context);
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
  }
}

// Throws std::bad_alloc if the host's memory runs out, where LibTorch's error reads like one of the
// device's memory.
c10::DataPtr AllocatePinned(size_t bytes) {
  try {
    return at::getHostAllocator(c10::kCUDA)->allocate(bytes);
  } catch (const c10::Error& e) {
    if (absl::StrContains(e.what_without_backtrace(), "out of memory")) throw std::bad_alloc();
    throw;
  }
}

at::Tensor TensorOf(c10::DataPtr memory, int64_t bytes, at::IntArrayRef sizes) {
  c10::Storage storage(c10::Storage::use_byte_size_t(), bytes, std::move(memory),
                       /*allocator=*/nullptr, /*resizable=*/false);
  at::Tensor tensor = at::empty({0}, at::kByte);
  return tensor.set_(std::move(storage), 0, sizes, c10::contiguous_strides(sizes));
}

// Returns the device's stream for `use`, created on first use.
std::optional<c10::Stream> FixedStream(c10::Device device, int use) {
  if (device.is_cpu()) return std::nullopt;
  static Mutex mu;
  static auto* const streams = new std::map<std::pair<int, int>, c10::Stream>;
  MutexLock lock(&mu);
  const std::pair<int, int> key(device.index(), use);
  auto it = streams->find(key);
  if (it == streams->end()) {
    it = streams
             ->emplace(key, c10::impl::VirtualGuardImpl(device.type())
                                .getStreamFromGlobalPool(device, /*isHighPriority=*/true))
             .first;
  }
  return it->second;
}

// -1: none, or the CPU.
std::atomic<int> process_device = -1;

}  // namespace

c10::DataPtr PinnedMemory(size_t bytes) {
  c10::DataPtr allocated = AllocatePinned(bytes);
  void* const data = allocated.get();
  free_pinned = allocated.get_deleter();
  return {data, allocated.release_context(), &FreePinned, c10::Device(c10::kCPU)};
}

at::Tensor HostTensor(HostBuffer buffer, at::IntArrayRef sizes) {
  const auto bytes = static_cast<int64_t>(buffer.size());
  const HostBuffer::Block block = buffer.Release();
  return TensorOf({block.data, block.context, block.deleter, c10::Device(c10::kCPU)}, bytes, sizes);
}

at::Tensor EmptyHostTensor(at::IntArrayRef sizes, at::ScalarType type, c10::Device device) {
  if (device.is_cpu()) return at::empty(sizes, type);
  const auto bytes = c10::multiply_integers(sizes) * static_cast<int64_t>(c10::elementSize(type));
  return TensorOf(PinnedMemory(bytes), bytes, {bytes}).view(type).view(sizes);
}

at::Tensor ToDevice(const at::Tensor& host, c10::Device device) {
  if (device.is_cpu()) return host;
  const at::Tensor pinned = EmptyHostTensor(host.sizes(), host.scalar_type(), device);
  return pinned.copy_(host).to(device, /*non_blocking=*/true);
}

std::optional<c10::Stream> ServingStream(c10::Device device) { return FixedStream(device, 0); }
std::optional<c10::Stream> CopyStream(c10::Device device) { return FixedStream(device, 1); }

void SetProcessDevice(c10::Device device) {
  process_device = device.is_cpu() ? -1 : device.index();
  AdoptDevice();
}

void ForgetProcessDevice() { process_device = -1; }

void AdoptDevice() {
  const int index = process_device;
  if (index < 0) return;
  c10::impl::VirtualGuardImpl(c10::kCUDA)
      .setDevice(c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index)));
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
