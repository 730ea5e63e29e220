// The compute device. The one place that knows CUDA from CPU; no LibTorch type shows here
// (core/base/torch_device.h has what the rooms that compute need).
#ifndef VIT_CORE_BASE_COMPUTE_DEVICE_H_
#define VIT_CORE_BASE_COMPUTE_DEVICE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

class Device {
 public:
  enum class Kind { kCpu, kCuda };

  static Device Cpu() { return Device(Kind::kCpu, 0); }

  // "auto" (the first CUDA device where the driver shows one, else the CPU), "cpu", "cuda" or
  // "cuda:N". INVALID_ARGUMENT for anything else; FAILED_PRECONDITION, with the driver's reason,
  // where the machine or this build has no such device.
  static absl::StatusOr<Device> Parse(absl::string_view text);

  Kind kind() const { return kind_; }
  int index() const { return index_; }
  // "cpu", "cuda:0".
  std::string name() const;
  // The processor's own name, such as "Intel(R) Xeon(R) Processor @ 2.80GHz": part of what makes a
  // run repeatable.
  std::string model_name() const;
  // Whether matrix products in bfloat16 are faster than in float32 here.
  bool has_fast_bfloat16() const;
  // Whether it computes in bfloat16 at all: CUDA devices from compute capability 8 on, every CPU.
  bool has_bfloat16() const;

  // Opens the device, makes it that of the process' compute threads, and computes something on it.
  // FAILED_PRECONDITION with the driver's reason where that fails. Nothing else may use a device
  // before.
  absl::Status Start() const;
  // Waits for all that the device was given to do. INTERNAL with the driver's reason where it no
  // longer computes: after that this process never will again.
  absl::Status Probe() const;

  struct Memory {
    int64_t used_bytes = 0;   // by this process
    int64_t total_bytes = 0;  // of the device; of the machine for the CPU
  };
  // Zeros where the device does not say. Throws nothing.
  Memory memory() const;
  // Gives the memory that is kept for the next tensor back, to the device's other users or to the
  // system.
  void ReleaseUnusedMemory() const;

 private:
  Device(Kind kind, int index) : kind_(kind), index_(index) {}
  Kind kind_;
  int index_;
};

// LibTorch's version, such as "2.13.0": part of what makes a run repeatable.
std::string TorchVersion();

}  // namespace vit

#endif  // VIT_CORE_BASE_COMPUTE_DEVICE_H_
