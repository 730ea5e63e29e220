// Matrix products in bfloat16. Only for the rooms that compute.
#ifndef VIT_CORE_MODEL_AUTOCAST_H_
#define VIT_CORE_MODEL_AUTOCAST_H_

#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

namespace vit {

// While it lives, matrix products on this thread are computed in bfloat16 where `enabled`, and as
// their tensors are where not, whatever an outer guard says.
class AutocastGuard {
 public:
  AutocastGuard(bool enabled, c10::DeviceType device);
  ~AutocastGuard();
  AutocastGuard(const AutocastGuard&) = delete;

 private:
  const bool enabled_;
  const c10::DeviceType device_;
  const bool outer_;
};

// The type that matrix products on this thread are computed in, of float32 tensors on `device`.
c10::ScalarType ProductType(c10::DeviceType device);

}  // namespace vit

#endif  // VIT_CORE_MODEL_AUTOCAST_H_
