#include "core/model/frozen/image_batch.h"

#include <algorithm>

#include "core/base/compute/torch_device.h"

namespace vit {

at::Tensor HostBatch(absl::Span<const FrozenTransformer::Image> images, int64_t image_size,
                     c10::Device device) {
  const bool bytes = std::all_of(images.begin(), images.end(),
                                 [](const auto& image) { return image.bytes != nullptr; });
  const int64_t size = 3 * image_size * image_size;
  at::Tensor batch =
      EmptyHostTensor({static_cast<int64_t>(images.size()), 3, image_size, image_size},
                      bytes ? at::kByte : at::kFloat, device);
  for (size_t i = 0; i < images.size(); ++i) {
    const FrozenTransformer::Image& image = images[i];
    const auto at = static_cast<int64_t>(i) * size;
    if (bytes) {
      std::copy_n(image.bytes, size, batch.mutable_data_ptr<uint8_t>() + at);
    } else if (image.bytes != nullptr) {
      std::copy_n(image.bytes, size, batch.mutable_data_ptr<float>() + at);
    } else {
      std::copy_n(image.values, size, batch.mutable_data_ptr<float>() + at);
    }
  }
  return batch;
}

}  // namespace vit
