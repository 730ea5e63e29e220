// Two threads of the project's own that write one variable without a lock: ThreadSanitizer must
// report it, whatever tests/tsan.supp keeps quiet.
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
