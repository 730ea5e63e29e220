// Matrix products in bfloat16.
#ifndef VIT_CORE_MODEL_AUTOCAST_H_
#define VIT_CORE_MODEL_AUTOCAST_H_

#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

namespace vit {

// While it lives, matrix products on this thread are computed in bfloat16 if `enabled`, else in the
// type of their tensors, even within another guard.
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

// Returns the type in which this thread computes matrix products of float32 tensors on `device`.
c10::ScalarType ProductType(c10::DeviceType device);

}  // namespace vit

#endif  // VIT_CORE_MODEL_AUTOCAST_H_
