#include "core/base/compute/device.h"

#include <ATen/ATen.h>
#include <ATen/core/CachingHostAllocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/version.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/compute/cuda_driver.h"
#include "core/base/compute/tensor_cache.h"
#include "core/base/compute/torch_device.h"
#include "core/base/status.h"

namespace vit {
namespace {

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total_pages = 0, resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * sysconf(_SC_PAGESIZE);
}

}  // namespace

absl::StatusOr<Device> Device::Parse(absl::string_view text) {
  if (text == "cpu") return Cpu();
  if (text == "auto") return CountCudaDevices().ok() ? Device(Kind::kCuda, 0) : Cpu();
  int index = 0;
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, "cuda") ||
      !(rest.empty() ||
        (absl::ConsumePrefix(&rest, ":") && absl::SimpleAtoi(rest, &index) && index >= 0))) {
    return absl::InvalidArgumentError(
        absl::StrCat("device '", text, "': expected auto, cpu, cuda or cuda:N"));
  }
  const absl::StatusOr<int> count = CountCudaDevices();
  if (!count.ok()) return Annotate(count.status(), absl::StrCat("device ", text));
  if (index >= *count) {
    return absl::FailedPreconditionError(
        absl::StrCat("device ", text, ": the driver reports ", *count,
                     *count == 1 ? " CUDA device" : " CUDA devices", ", numbered from 0"));
  }
  return Device(Kind::kCuda, index);
}

std::string Device::name() const {
  return kind_ == Kind::kCpu ? "cpu" : absl::StrCat("cuda:", index_);
}

std::string Device::model_name() const {
  if (kind_ == Kind::kCuda) {
    const auto properties = GetCudaDeviceProperties(index_);
    return properties.ok() ? properties->name : "unknown";
  }
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos) {
      return line.substr(line.find(": ") + 2);
    }
  }
  return "unknown";
}

bool Device::has_bfloat16() const {
  if (kind_ == Kind::kCpu) return true;
  constexpr int kLeastMajor = 8;  // Ampere
  const auto properties = GetCudaDeviceProperties(index_);
  return properties.ok() && properties->major >= kLeastMajor;
}

std::optional<int> Device::least_bfloat16_width() const {
  if (kind_ == Kind::kCuda) return has_bfloat16() ? std::optional(1) : std::nullopt;
#ifdef __x86_64__
  if (__builtin_cpu_supports("amx-bf16") != 0) return 1;
  // Narrow matrix products lose more by the conversions than they gain.
  if (__builtin_cpu_supports("avx512bf16") != 0) return 256;
#endif
  return std::nullopt;
}

absl::Status Device::Start() const {
  if (kind_ == Kind::kCpu) return absl::OkStatus();
  const absl::Status status = CatchExceptions("", [&]() -> absl::Status {
    SetProcessDevice(TorchDevice(*this));
    // Whatever LibTorch's environment variables say: a run sets it from its spec.
    at::globalContext().setAllowTF32CuBLAS(false);
    const at::Tensor ones = at::ones({2}, TorchDevice(*this));
    const auto sum = ones.sum().item<float>();
    return sum == 2 ? absl::OkStatus() : absl::InternalError(absl::StrCat("1 + 1 gave ", sum));
  });
  if (status.ok()) return status;
  ForgetProcessDevice();
  return absl::FailedPreconditionError(
      absl::StrCat("device ", name(), " (", model_name(),
                   ") does not compute: ", absl::StripPrefix(status.message(), ": ")));
}

absl::Status Device::Probe() const {
  return kind_ == Kind::kCpu ? absl::OkStatus() : SynchronizeCudaDevice(index_);
}

Device::Memory Device::memory() const {
  Memory memory;
  if (kind_ == Kind::kCuda) {
    const absl::Status asked = CatchExceptions("memory", [&] {
      c10::DeviceAllocator* const allocator = c10::getDeviceAllocator(c10::kCUDA);
      if (allocator->initialized()) {
        memory.used_bytes =
            allocator->getDeviceStats(static_cast<c10::DeviceIndex>(index_))
                .reserved_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)]
                .current;
      }
      return absl::OkStatus();
    });
    asked.IgnoreError();
    const auto properties = GetCudaDeviceProperties(index_);
    if (properties.ok()) memory.total_bytes = properties->total_bytes;
    return memory;
  }
  memory.used_bytes = ResidentBytes();
  memory.total_bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  return memory;
}

void Device::ReleaseUnusedMemory() const {
  TensorCache::Trim();
  if (kind_ != Kind::kCuda) return;
  CatchExceptions("release memory", [] {
    AdoptDevice();  // else CUDA opens its first device
    c10::getDeviceAllocator(c10::kCUDA)->emptyCache();
    at::getHostAllocator(c10::kCUDA)->empty_cache();  // pinned
    return absl::OkStatus();
  }).IgnoreError();
}

std::string TorchVersion() { return TORCH_VERSION; }

}  // namespace vit
