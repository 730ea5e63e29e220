// Matrix products in bfloat16. Only for the rooms that compute.
#ifndef VIT_CORE_MODEL_AUTOCAST_H_
#define VIT_CORE_MODEL_AUTOCAST_H_

#include <c10/core/DeviceType.h>

namespace vit {

// While it lives, matrix products on this thread are computed in bfloat16 where `enabled`.
class AutocastGuard {
 public:
  AutocastGuard(bool enabled, c10::DeviceType device);
  ~AutocastGuard();
  AutocastGuard(const AutocastGuard&) = delete;

 private:
  const bool enabled_;
  const c10::DeviceType device_;
};

}  // namespace vit

#endif  // VIT_CORE_MODEL_AUTOCAST_H_
