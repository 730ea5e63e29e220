#include "core/base/compute/compute_threads.h"

#include <ATen/Parallel.h>

namespace vit {

void SetComputeThreads(int count) {
  // The first two calls trigger the one-time initialisation of this thread in our programs and in
  // LibTorch, which would otherwise undo the third.
  at::internal::lazy_init_num_threads();
  at::get_num_threads();
  at::set_num_threads(count);
}

}  // namespace vit
