// Turns bytes into the model's input.
#ifndef VIT_CORE_MODEL_NORMALIZE_H_
#define VIT_CORE_MODEL_NORMALIZE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "vit/v1/data.pb.h"

namespace vit {

// (byte / 255 - mean) / std for each channel. Immutable.
class Normalizer {
 public:
  // `config`: mean and std set, three values each.
  Normalizer(const vit::v1::DataConfig& config, c10::Device device);

  // `pixels`: [count, 3, S, S] bytes, contiguous, or float32 on the same scale, on the host or the
  // device. Returns float32 on the device, without waiting for it if the bytes are there already or
  // pinned.
  at::Tensor operator()(const at::Tensor& pixels) const;

 private:
  c10::Device device_;
  at::Tensor scale_, shift_;  // [1, 3, 1, 1]
};

}  // namespace vit

#endif  // VIT_CORE_MODEL_NORMALIZE_H_
