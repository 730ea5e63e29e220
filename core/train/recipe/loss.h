// What training minimises. Only for the rooms that compute.
#ifndef VIT_CORE_TRAIN_RECIPE_LOSS_H_
#define VIT_CORE_TRAIN_RECIPE_LOSS_H_

#include <ATen/core/Tensor.h>

#include "vit/v1/training.pb.h"

namespace vit {

// What B pictures are to be classified as.
struct Targets {
  at::Tensor labels;  // [B], int64
  // [B, K], float32, each row of sum 1: the classes' parts in mixed pictures. Undefined where none
  // is mixed.
  at::Tensor parts;

  Targets Slice(int64_t begin, int64_t end) const;
};

// [B, K], float32: 1 at each label, else 0. Unlike at::one_hot, which looks at the labels on the
// host.
at::Tensor OneHot(const at::Tensor& labels, int num_classes);

// The loss of a micro-batch as a part of its update's. With t the targets, smoothed by s to (1 - s)
// t
// + s / K, w the classes' weights and p the scores' softmax, the loss of a picture is
//   cross entropy         -sum_c w_c t_c log p_c
//   focal                 -sum_c w_c t_c (1 - p_c)^gamma log p_c
//   binary cross entropy  -1/K sum_c w_c (t_c log q_c + (1 - t_c) log(1 - q_c)), q the sigmoid
// and of an update their sum over that of the pictures' weights, sum_c w_c t_c before smoothing:
// torch.nn.CrossEntropyLoss(weight, label_smoothing)'s mean. Of the hardest fraction of a
// micro-batch it is their mean, weighted alike, which counts as much as the whole micro-batch
// would.
class Loss {
 public:
  // `config`: effective, for K classes.
  Loss(const vit::v1::LossConfig& config, double label_smoothing, int num_classes,
       c10::Device device);

  // The sum of the pictures' weights: a scalar on the device, which is not waited for.
  at::Tensor Weight(const Targets& targets) const;

  // Summed over an update's micro-batches and divided by the update's Weight: its loss. `logits`:
  // [B, K], float32. Differentiable.
  at::Tensor Sum(const at::Tensor& logits, const Targets& targets) const;

 private:
  at::Tensor OfPictures(const at::Tensor& logits, const Targets& targets) const;  // [B]
  at::Tensor WeightOfPictures(const Targets& targets) const;                      // [B]
  at::Tensor Smoothed(const Targets& targets) const;                              // [B, K]

  const vit::v1::LossConfig config_;
  const double label_smoothing_;
  const int num_classes_;
  at::Tensor class_weights_;  // [K]; undefined where all are 1
};

// The sum over the pictures of what a student (logits [B, K], differentiable) learns from a teacher
// (the same). `config`: effective.
at::Tensor DistillationSum(const vit::v1::DistillationConfig& config, const at::Tensor& student,
                           const at::Tensor& teacher);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_RECIPE_LOSS_H_
