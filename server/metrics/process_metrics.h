// The process and its device, read when Prometheus asks.
#ifndef VIT_SERVER_METRICS_PROCESS_METRICS_H_
#define VIT_SERVER_METRICS_PROCESS_METRICS_H_

#include <prometheus/collectable.h>

#include <string>
#include <vector>

#include "core/base/compute/device.h"

namespace vit {

// The standard process_* metrics, from /proc, vitd_device_memory_bytes and vitd_build_info.
// Thread-safe.
class ProcessMetrics : public prometheus::Collectable {
 public:
  explicit ProcessMetrics(Device device) : device_(device) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const Device device_;
};

}  // namespace vit

#endif  // VIT_SERVER_METRICS_PROCESS_METRICS_H_
