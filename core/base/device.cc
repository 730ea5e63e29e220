#include "core/base/device.h"

#include <ATen/Context.h>
#include <torch/version.h>
#ifdef VIT_WITH_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <cuda_runtime_api.h>
#endif

#include <unistd.h>

#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace vit {
namespace {

int CudaDeviceCount() {
#ifdef VIT_WITH_CUDA
  return at::cuda::is_available() ? static_cast<int>(at::cuda::device_count()) : 0;
#else
  return 0;
#endif
}

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total_pages = 0, resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * sysconf(_SC_PAGESIZE);
}

}  // namespace

absl::StatusOr<Device> Device::Parse(absl::string_view text) {
  if (text == "cpu") return Cpu();
  if (text == "auto") return CudaDeviceCount() > 0 ? Device(Kind::kCuda, 0) : Cpu();
  int index = 0;
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "cuda") &&
      (rest.empty() ||
       (absl::ConsumePrefix(&rest, ":") && absl::SimpleAtoi(rest, &index) && index >= 0))) {
    if (index < CudaDeviceCount()) return Device(Kind::kCuda, index);
#ifdef VIT_WITH_CUDA
    return absl::FailedPreconditionError(
        absl::StrCat("device ", text, ": this machine shows ", CudaDeviceCount(), " CUDA devices"));
#else
    return absl::FailedPreconditionError(absl::StrCat(
        "device ", text,
        ": this build has no CUDA; build it with scripts/bootstrap --cuda, or use --device cpu"));
#endif
  }
  return absl::InvalidArgumentError(
      absl::StrCat("device '", text, "': expected auto, cpu, cuda or cuda:N"));
}

std::string Device::name() const {
  return kind_ == Kind::kCpu ? "cpu" : absl::StrCat("cuda:", index_);
}

std::string Device::model_name() const {
#ifdef VIT_WITH_CUDA
  if (kind_ == Kind::kCuda) return at::cuda::getDeviceProperties(index_)->name;
#endif
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos) {
      return line.substr(line.find(": ") + 2);
    }
  }
  return "unknown";
}

bool Device::has_fast_bfloat16() const {
  if (kind_ == Kind::kCuda) return true;
#ifdef __x86_64__
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

Device::Memory Device::memory() const {
  Memory memory;
#ifdef VIT_WITH_CUDA
  if (kind_ == Kind::kCuda) {
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(index_);
    memory.used_bytes =
        stats.reserved_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)]
            .current;
    memory.total_bytes =
        static_cast<int64_t>(at::cuda::getDeviceProperties(index_)->totalGlobalMem);
    return memory;
  }
#endif
  memory.used_bytes = ResidentBytes();
  memory.total_bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  return memory;
}

std::string TorchVersion() { return TORCH_VERSION; }

}  // namespace vit
