#include "core/base/compute/compute_budget.h"

#include <c10/util/Exception.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <opencv2/core/utility.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/compute/compute_threads.h"
#include "core/base/compute/tensor_cache.h"
#include "core/base/compute/torch_device.h"
#include "core/base/status.h"

namespace vit {
namespace {

class WarningSink : public c10::WarningHandler {
 public:
  explicit WarningSink(std::function<void(const std::string&)> sink) : sink_(std::move(sink)) {}
  void process(const c10::Warning& warning) override { sink_(warning.msg()); }

 private:
  const std::function<void(const std::string&)> sink_;
};

// Never destroyed: threads outlive main. Null until a sink is set.
std::atomic<WarningSink*> warning_sink = nullptr;

}  // namespace

absl::StatusOr<ComputeBudget> ComputeBudget::Create(int threads) {
  if (threads < 0 || threads > 4096) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads is ", threads, "; expected 0 (all) to 4096"));
  }
  if (threads == 0) {
    cpu_set_t set;
    threads = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
  }
  cv::setNumThreads(0);
  return ComputeBudget(threads);
}

std::thread ComputeBudget::StartThread(const std::string& name, int intra_op_threads,
                                       std::function<void()> body, int niceness) {
  return std::thread([name, intra_op_threads, niceness, body = std::move(body)] {
    pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
    // Linux keeps niceness per thread; a refusal only costs speed.
    if (niceness != 0) {
      setpriority(PRIO_PROCESS, gettid(), getpriority(PRIO_PROCESS, gettid()) + niceness);
    }
    // If the device is lost, the thread's first use of it says so.
    CatchExceptions("adopt the device", [] {
      AdoptDevice();
      return absl::OkStatus();
    }).IgnoreError();
    if (WarningSink* const sink = warning_sink) c10::WarningUtils::set_warning_handler(sink);
    SetComputeThreads(intra_op_threads);
    body();
  });
}

void CaptureComputeWarnings(std::function<void(const std::string& message)> sink) {
  warning_sink = new WarningSink(std::move(sink));
  c10::WarningUtils::set_warning_handler(warning_sink);
}

void PrepareComputeProcess(char** argv) {
  if (getenv("OMP_WAIT_POLICY") == nullptr && getenv("GOMP_SPINCOUNT") == nullptr) {
    setenv("OMP_WAIT_POLICY", "passive", /*overwrite=*/1);
    // Without /proc the program continues as it is.
    execv("/proc/self/exe", argv);
  }
  // cuBLAS is deterministic only with workspaces of a fixed size, and reads the size from here on
  // first use.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  TensorCache::Install();
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the largest that glibc accepts
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
}

}  // namespace vit
