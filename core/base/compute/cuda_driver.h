// What the CUDA runtime reports about its devices, in this project's terms. Only cuda_driver.cc
// includes CUDA's own headers and LibTorch's for CUDA; everything that LibTorch can do for any
// device goes through its headers for all.
#ifndef VIT_CORE_BASE_COMPUTE_CUDA_DRIVER_H_
#define VIT_CORE_BASE_COMPUTE_CUDA_DRIVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace vit {

// Whether this build can use CUDA.
bool IsBuiltWithCuda();

// Counts the devices. FAILED_PRECONDITION with the driver's reason if there is none, or no driver.
absl::StatusOr<int> CountCudaDevices();

struct CudaDeviceProperties {
  std::string name;          // "NVIDIA H100 80GB HBM3"
  int major = 0, minor = 0;  // compute capability
  int64_t total_bytes = 0;   // of its memory
};
// INTERNAL with the driver's reason.
absl::StatusOr<CudaDeviceProperties> GetCudaDeviceProperties(int index);

// Waits for the device. INTERNAL with the driver's reason if it no longer works, as after an access
// beyond its memory; an error of a single call is forgotten.
absl::Status SynchronizeCudaDevice(int index);

// While it lives, LibTorch throws where one of its operators waits for a CUDA device: a blocking
// copy, an item(). For all threads. Does nothing in a build without CUDA.
class ForbidCudaWaits {
 public:
  ForbidCudaWaits();
  ~ForbidCudaWaits();
  ForbidCudaWaits(const ForbidCudaWaits&) = delete;
};

// Work of a CUDA device that is recorded once and then started by one call. Only for a build with
// CUDA, and a current stream other than the default one. LibTorch throws if the device fails.
class CudaGraph {
 public:
  CudaGraph();
  CudaGraph(CudaGraph&&) noexcept;
  ~CudaGraph();

  // Calls `work`, whose operations on the current stream are recorded and not computed. The tensors
  // that it makes keep their memory as long as this lives; that of `shared`, if given, is used for
  // them too, so that the two must not run at the same time.
  void Record(const CudaGraph* shared, const std::function<void()>& work);
  // Starts what was recorded, on the current stream.
  void Run();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vit

#endif  // VIT_CORE_BASE_COMPUTE_CUDA_DRIVER_H_
