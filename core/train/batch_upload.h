// Uploads batches to the device.
#ifndef VIT_CORE_TRAIN_BATCH_UPLOAD_H_
#define VIT_CORE_TRAIN_BATCH_UPLOAD_H_

#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>

#include <array>
#include <memory>
#include <optional>

#include "core/data/loader/loader.h"
#include "core/model/normalize.h"

namespace vit {

// Copies batches to the device while it computes, and normalises them there: a batch is copied on
// its own stream during the previous step. Never waits for the device. For one thread at a time.
class BatchUpload {
 public:
  struct OnDevice {
    at::Tensor images;  // [count, 3, S, S], float32, normalised
    at::Tensor labels;  // [count], int64
  };

  // `normalize` must outlive this.
  BatchUpload(const Normalizer* normalize, c10::Device device);
  ~BatchUpload();

  // Takes the batch's images. There must be at least one.
  OnDevice operator()(Batch* batch);

 private:
  struct Stage;
  at::Tensor Copy(const at::Tensor& images);

  const Normalizer* const normalize_;
  const c10::Device device_;
  // Byte buffers on the device, used in turn. Empty for the CPU.
  std::array<std::unique_ptr<Stage>, 2> stages_;
  size_t next_ = 0;
  const std::optional<c10::Stream> copying_;
};

}  // namespace vit

#endif  // VIT_CORE_TRAIN_BATCH_UPLOAD_H_
