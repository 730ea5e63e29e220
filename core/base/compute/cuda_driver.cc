#include "core/base/compute/cuda_driver.h"

#include <stdexcept>

#include "absl/strings/str_cat.h"

#ifdef VIT_WITH_CUDA

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>

#include <map>

#include "core/base/mutex.h"

namespace vit {
namespace {

std::string Reason(cudaError_t error) {
  return absl::StrCat(cudaGetErrorString(error), " (", cudaGetErrorName(error), ")");
}

}  // namespace

bool IsBuiltWithCuda() { return true; }

absl::StatusOr<int> CountCudaDevices() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return count;
  (void)cudaGetLastError();  // it is reported here and must not surface in another call
  if (error == cudaSuccess || error == cudaErrorNoDevice) {
    return absl::FailedPreconditionError(
        "the driver reports no CUDA device; check nvidia-smi and CUDA_VISIBLE_DEVICES");
  }
  if (error == cudaErrorInsufficientDriver) {
    int driver = 0;
    (void)cudaDriverGetVersion(&driver);
    if (driver == 0) {
      return absl::FailedPreconditionError(
          "no NVIDIA driver is installed; install one, or pass the devices to the container");
    }
    return absl::FailedPreconditionError(
        absl::StrCat("the NVIDIA driver is for CUDA ", driver / 1000, ".", driver % 1000 / 10,
                     ", this build for ", CUDART_VERSION / 1000, ".", CUDART_VERSION % 1000 / 10,
                     "; install a newer driver"));
  }
  return absl::FailedPreconditionError(absl::StrCat("the NVIDIA driver reports: ", Reason(error)));
}

absl::StatusOr<CudaDeviceProperties> GetCudaDeviceProperties(int index) {
  // Asking takes milliseconds, and the metrics ask often.
  static Mutex mu;
  static auto* const known = new std::map<int, CudaDeviceProperties>;
  MutexLock lock(&mu);
  if (const auto it = known->find(index); it != known->end()) return it->second;
  cudaDeviceProp found;
  if (const cudaError_t error = cudaGetDeviceProperties(&found, index); error != cudaSuccess) {
    (void)cudaGetLastError();
    return absl::InternalError(absl::StrCat("cuda:", index, ": ", Reason(error)));
  }
  const CudaDeviceProperties properties = {
      .name = found.name,
      .major = found.major,
      .minor = found.minor,
      .total_bytes = static_cast<int64_t>(found.totalGlobalMem)};
  known->emplace(index, properties);
  return properties;
}

absl::Status SynchronizeCudaDevice(int index) {
  (void)cudaGetLastError();
  // It stays the thread's device: switching back would open another one too.
  cudaError_t error = cudaSetDevice(index);
  if (error == cudaSuccess) error = cudaDeviceSynchronize();
  if (error != cudaSuccess) {
    return absl::InternalError(absl::StrCat("cuda:", index, ": ", Reason(error)));
  }
  return absl::OkStatus();
}

ForbidCudaWaits::ForbidCudaWaits() {
  c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_ERROR);
}

ForbidCudaWaits::~ForbidCudaWaits() {
  c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_DISABLED);
}

class CudaGraph::Impl {
 public:
  at::cuda::CUDAGraph graph;
};

CudaGraph::CudaGraph() : impl_(std::make_unique<Impl>()) {}

void CudaGraph::Record(const CudaGraph* shared, const std::function<void()>& work) {
  at::cuda::CUDAGraph& graph = impl_->graph;
  // Other threads, training's among them, may use the device as they like meanwhile.
  graph.capture_begin(shared == nullptr ? at::cuda::MempoolId_t{0, 0} : shared->impl_->graph.pool(),
                      cudaStreamCaptureModeThreadLocal);
  try {
    work();
  } catch (...) {
    try {
      graph.capture_end();
    } catch (const std::exception&) {
      // What `work` threw says why.
    }
    throw;
  }
  graph.capture_end();
}

void CudaGraph::Run() { impl_->graph.replay(); }

}  // namespace vit

#else

namespace vit {
namespace {

absl::Status NoCuda() {
  return absl::FailedPreconditionError(
      "this build has no CUDA; build it with scripts/bootstrap --cuda, or use --device cpu");
}

}  // namespace

bool IsBuiltWithCuda() { return false; }
absl::StatusOr<int> CountCudaDevices() { return NoCuda(); }
absl::StatusOr<CudaDeviceProperties> GetCudaDeviceProperties(int) { return NoCuda(); }
absl::Status SynchronizeCudaDevice(int) { return NoCuda(); }
ForbidCudaWaits::ForbidCudaWaits() = default;
ForbidCudaWaits::~ForbidCudaWaits() {}  // not = default: with CUDA it does something

class CudaGraph::Impl {};

CudaGraph::CudaGraph() = default;

void CudaGraph::Record(const CudaGraph*, const std::function<void()>&) {
  throw std::logic_error(std::string(NoCuda().message()));
}

void CudaGraph::Run() { throw std::logic_error(std::string(NoCuda().message())); }

}  // namespace vit

#endif  // VIT_WITH_CUDA

namespace vit {

CudaGraph::CudaGraph(CudaGraph&&) noexcept = default;
CudaGraph::~CudaGraph() = default;

}  // namespace vit
