#include "core/train/batch_upload.h"

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <utility>

#include "core/base/compute/torch_device.h"

namespace vit {

struct BatchUpload::Stage {
  explicit Stage(c10::DeviceType type) : copied(type), used(type) {}
  at::Tensor bytes;
  c10::Event copied;  // the copy is complete
  c10::Event used;    // the bytes have been read
};

BatchUpload::BatchUpload(const Normalizer* normalize, c10::Device device)
    : normalize_(normalize), device_(device), copying_(CopyStream(device)) {
  if (device.is_cpu()) return;
  for (auto& stage : stages_) stage = std::make_unique<Stage>(device.type());
}

BatchUpload::~BatchUpload() {
  if (!copying_.has_value()) return;
  try {
    copying_->synchronize();         // before the target memory is freed
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
    // The device is lost, and its memory too.
  }
}

BatchUpload::OnDevice BatchUpload::operator()(Batch* batch) {
  const auto count = static_cast<int64_t>(batch->labels.size());
  const int64_t side = batch->image_size;
  const at::Tensor images = HostTensor(std::move(batch->images), {count, 3, side, side});
  return {.images = device_.is_cpu() ? (*normalize_)(images) : Copy(images),
          .labels = ToDevice(at::tensor(batch->labels), device_)};
}

at::Tensor BatchUpload::Copy(const at::Tensor& images) {
  const c10::impl::VirtualGuardImpl guard(device_.type());
  const c10::Stream computing = guard.getStream(device_);
  Stage& stage = *stages_[next_];
  next_ = (next_ + 1) % stages_.size();
  if (!stage.bytes.defined() || stage.bytes.numel() < images.numel()) {
    stage.bytes = at::empty({images.numel()}, at::TensorOptions(device_).dtype(at::kByte));
    stage.used.record(computing);  // which may have used this memory
  }
  const at::Tensor bytes = stage.bytes.narrow(0, 0, images.numel()).view(images.sizes());
  {
    const UseStream use(copying_);
    stage.used.block(*copying_);
    bytes.copy_(images, /*non_blocking=*/true);
    stage.copied.record(*copying_);
  }
  stage.copied.block(computing);
  const at::Tensor normalised = (*normalize_)(bytes);
  stage.used.record(computing);
  return normalised;
}

}  // namespace vit
