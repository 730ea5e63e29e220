// The width of the vectors that kernels on the CPU compute with (vectors.h).
#ifndef VIT_CORE_MODEL_LANES_H_
#define VIT_CORE_MODEL_LANES_H_

#include <cstdint>

namespace vit {

constexpr int64_t kLanes = 16;

constexpr int64_t RoundUpToLanes(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

}  // namespace vit

#endif  // VIT_CORE_MODEL_LANES_H_
