// Device as LibTorch knows it; only for the rooms that compute.
#ifndef VIT_CORE_BASE_TORCH_DEVICE_H_
#define VIT_CORE_BASE_TORCH_DEVICE_H_

#include <c10/core/Device.h>

#include "core/base/device.h"

namespace vit {

inline c10::Device TorchDevice(const Device& device) {
  return device.kind() == Device::Kind::kCuda
             ? c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device.index()))
             : c10::Device(c10::DeviceType::CPU);
}

}  // namespace vit

#endif  // VIT_CORE_BASE_TORCH_DEVICE_H_
