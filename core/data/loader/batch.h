// A batch of training or evaluation images, as loaders make it.
#ifndef VIT_CORE_DATA_LOADER_BATCH_H_
#define VIT_CORE_DATA_LOADER_BATCH_H_

#include <cstdint>
#include <vector>

#include "core/base/compute/host_buffer.h"

namespace vit {

// Images of one step, as bytes; the consumer normalises them. An unreadable image leaves its place
// empty: `images` and `labels` hold the readable ones, in order, and `slots` gives the place of
// each in the full batch.
struct Batch {
  int64_t step = 0;
  int image_size = 0;
  HostBuffer images;            // [slots.size(), 3, image_size, image_size]
  std::vector<int64_t> labels;  // [slots.size()]
  std::vector<int> slots;       // ascending, each in 0 .. size - 1
  int size = 0;                 // places, readable or not
};

}  // namespace vit

#endif  // VIT_CORE_DATA_LOADER_BATCH_H_
