// The compute device: the only place that tells CUDA from CPU. No LibTorch type appears here;
// core/base/compute/torch_device.h has those.
#ifndef VIT_CORE_BASE_COMPUTE_DEVICE_H_
#define VIT_CORE_BASE_COMPUTE_DEVICE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

class Device {
 public:
  enum class Kind { kCpu, kCuda };

  static Device Cpu() { return Device(Kind::kCpu, 0); }

  // "auto" (the first CUDA device if the driver reports one, else the CPU), "cpu", "cuda" or
  // "cuda:N". INVALID_ARGUMENT for anything else; FAILED_PRECONDITION, with the driver's reason, if
  // the machine or this build has no such device.
  static absl::StatusOr<Device> Parse(absl::string_view text);

  Kind kind() const { return kind_; }
  int index() const { return index_; }
  // "cpu", "cuda:0".
  std::string name() const;
  // The processor's name, such as "Intel(R) Xeon(R) Processor @ 2.80GHz": part of what makes a run
  // repeatable.
  std::string model_name() const;
  // The least embed_dim of a model that trains faster in bfloat16 than in float32 here
  // (docs/performance.md); nullopt if none does.
  std::optional<int> least_bfloat16_width() const;
  // Whether it computes in bfloat16 at all: CUDA devices from compute capability 8 on, every CPU.
  bool has_bfloat16() const;

  // Opens the device, makes it the device of the process's compute threads, and computes something
  // on it. FAILED_PRECONDITION with the driver's reason if that fails. Call it before anything else
  // uses a device.
  absl::Status Start() const;
  // Waits for the device's pending work. INTERNAL with the driver's reason if it no longer
  // computes; this process cannot recover from that.
  absl::Status Probe() const;

  struct Memory {
    int64_t used_bytes = 0;   // by this process
    int64_t total_bytes = 0;  // of the device; of the machine for the CPU
  };
  // Zeros if the device does not report it. Does not throw.
  Memory memory() const;
  // Releases the memory that is kept for the next tensor to the device's other users or to the
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
