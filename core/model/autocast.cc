#include "core/model/autocast.h"

#include <ATen/autocast_mode.h>

namespace vit {

AutocastGuard::AutocastGuard(bool enabled, c10::DeviceType device)
    : enabled_(enabled), device_(device), outer_(at::autocast::is_autocast_enabled(device)) {
  at::autocast::set_autocast_enabled(device_, enabled_);
  if (enabled_) at::autocast::set_autocast_dtype(device_, at::kBFloat16);
}

AutocastGuard::~AutocastGuard() {
  at::autocast::set_autocast_enabled(device_, outer_);
  // Drops the casts of the weights, which the next update makes stale. All threads share the cache:
  // a guard that made no casts leaves it alone.
  if (enabled_ && !outer_) at::autocast::clear_cache();
}

c10::ScalarType ProductType(c10::DeviceType device) {
  return at::autocast::is_autocast_enabled(device) ? at::autocast::get_autocast_dtype(device)
                                                   : at::kFloat;
}

}  // namespace vit
