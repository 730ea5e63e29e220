// Two of the project's own threads write one variable without a lock: ThreadSanitizer must report
// it, regardless of what tests/tsan.supp suppresses.
#include <cstdio>

#include "core/base/compute/compute_budget.h"

int main() {
  int unguarded = 0;
  const auto increment = [&] { ++unguarded; };
  std::thread first = vit::ComputeBudget::StartThread("first", 1, increment);
  std::thread second = vit::ComputeBudget::StartThread("second", 1, increment);
  first.join();
  second.join();
  std::printf("%d\n", unguarded);
}
