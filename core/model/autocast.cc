#include "core/model/autocast.h"

#include <ATen/autocast_mode.h>

namespace vit {

AutocastGuard::AutocastGuard(bool enabled, c10::DeviceType device)
    : enabled_(enabled), device_(device) {
  if (!enabled_) return;
  at::autocast::set_autocast_enabled(device_, true);
  at::autocast::set_autocast_dtype(device_, at::kBFloat16);
}

AutocastGuard::~AutocastGuard() {
  if (!enabled_) return;
  at::autocast::set_autocast_enabled(device_, false);
  // The casts of the weights, which the next update makes stale.
  at::autocast::clear_cache();
}

}  // namespace vit
