// The parts that a training step and a Classify call are made of, each on one thread: decoding,
// transforms, GELU, attention, norms. Google Benchmark's flags apply (--benchmark_filter=Gelu).
//
//   parts_bench
#include <benchmark/benchmark.h>
#include <google/protobuf/text_format.h>
#include <torch/torch.h>

#include <string>

#include "core/base/compute/compute_threads.h"
#include "core/data/augment/augment.h"
#include "core/data/augment/augment_apply.h"
#include "core/data/dataset.h"
#include "core/data/image/jpeg.h"
#include "core/data/image/transform.h"
#include "core/model/add_norm.h"
#include "core/model/gelu.h"
#include "core/model/normalize.h"
#include "core/model/short_attention.h"
#include "core/spec/defaults.h"

namespace vit::bench {
namespace {

using benchmark::Counter;
using benchmark::State;

// An image with the detail of a photograph: blocks of many sizes.
Image TestImage(int width, int height) {
  Image image{width, height, std::vector<uint8_t>(size_t{3} * width * height)};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const int detail = (x / 3 * 7 + y / 5 * 11 + (x ^ y) / (c + 2) * 3) % 97;
        image.rgb[(size_t{3} * y * width) + (3 * x) + c] =
            static_cast<uint8_t>(255 * x / width / 2 + detail);
      }
    }
  }
  return image;
}

std::string Jpeg(const Image& image) { return *EncodeJpeg(image, 90); }

void PerImage(State& state, double images = 1) {
  state.counters["images/s"] =
      Counter(images * static_cast<double>(state.iterations()), Counter::kIsRate);
}

// As evaluation and Classify decode (0), and as training does for a side of 224.
void DecodeJpeg500x375(State& state) {
  const std::string jpeg = Jpeg(TestImage(500, 375));
  const auto min_short_side = static_cast<int>(state.range(0));
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(DecodeImage(jpeg, {}, min_short_side));
  }
  PerImage(state);
}
BENCHMARK(DecodeJpeg500x375)->ArgName("min_short_side")->Arg(0)->Arg(224);

void DecodeJpeg32x32(State& state) {
  const std::string jpeg = Jpeg(TestImage(32, 32));
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(DecodeImage(jpeg, {}));
  PerImage(state);
}
BENCHMARK(DecodeJpeg32x32);

void EvalTransform500x375To224(State& state) {
  const Image image = TestImage(500, 375);
  std::vector<uint8_t> out(3 * 224 * 224);
  vit::v1::EvalTransform transform;
  transform.set_crop_pct(0.875);
  for ([[maybe_unused]] auto _ : state) {
    EvalTransformImage(image, 224, transform, vit::v1::INTERPOLATION_BICUBIC, absl::MakeSpan(out));
  }
  PerImage(state);
}
BENCHMARK(EvalTransform500x375To224);

// `train`: fields of TrainTransform, as text.
void TrainTransform(State& state, int width, int height, int size, const std::string& train) {
  vit::v1::DataConfig config;
  config.set_source("shapes:");
  google::protobuf::TextFormat::ParseFromString(train, config.mutable_train());
  const auto data = DataSet::Open(config, {.image_size = size});
  FillDataDefaults({.class_count = static_cast<int>((**data).class_names().size()),
                    .native_image_size = (**data).native_size()},
                   size, &config);
  const Image image = TestImage(width, height);
  const Augmenter augmenter(config);
  std::vector<uint8_t> out(size_t{3} * size * size);
  CounterRandom random(1, RandomPurpose::kAugment, 0, 0);
  for ([[maybe_unused]] auto _ : state) {
    TrainTransformImage(image, size, config, augmenter, &random, absl::MakeSpan(out));
  }
  PerImage(state);
}
BENCHMARK_CAPTURE(TrainTransform, RandomCrop32, 32, 32, 32, "crop: TRAIN_CROP_RANDOM");
BENCHMARK_CAPTURE(TrainTransform, RandomResizedCrop500x375To224, 500, 375, 224, "");
BENCHMARK_CAPTURE(TrainTransform, RandomResizedCrop32, 32, 32, 32, "scale_min: 0.8");
BENCHMARK_CAPTURE(TrainTransform, RandAugment32, 32, 32, 32,
                  "scale_min: 0.8 auto_augment: 'rand-m9-mstd0.5-inc1'");
BENCHMARK_CAPTURE(TrainTransform, TrivialAugment32, 32, 32, 32,
                  "scale_min: 0.8 auto_augment: 'trivial'");
BENCHMARK_CAPTURE(TrainTransform, AugMix32, 32, 32, 32, "scale_min: 0.8 auto_augment: 'augmix'");
BENCHMARK_CAPTURE(TrainTransform, Jitter32, 32, 32, 32,
                  "scale_min: 0.8 jitter_brightness: 0.4 jitter_contrast: 0.4 "
                  "jitter_saturation: 0.4 jitter_hue: 0.1 jitter_probability: 0.8 grayscale: 0.2 "
                  "gaussian_blur: 0.5 blur_kernel_size: 3");
BENCHMARK_CAPTURE(TrainTransform, RandAugment224, 224, 224, 224,
                  "scale_min: 0.8 auto_augment: 'rand-m9-mstd0.5-inc1'");

// One operation of a policy on a square image.
void AugmentOperation(State& state, augment::Operation operation, double argument) {
  const int size = static_cast<int>(state.range(0));
  const Image image = TestImage(size, size);
  std::vector<uint8_t> pixels = image.rgb;
  CounterRandom random(1, RandomPurpose::kAugment, 0, 0);
  augment::Scratch scratch;
  for ([[maybe_unused]] auto _ : state) {
    augment::ApplyOperation(operation, argument, {}, &random, {pixels.data(), size, size},
                            &scratch);
    benchmark::ClobberMemory();
  }
  PerImage(state);
}
#define VIT_BENCH_OPERATION(name, argument)                                        \
  BENCHMARK_CAPTURE(AugmentOperation, name, augment::Operation::k##name, argument) \
      ->ArgName("side")                                                            \
      ->Arg(32)                                                                    \
      ->Arg(224)
VIT_BENCH_OPERATION(AutoContrast, 0);
VIT_BENCH_OPERATION(Equalize, 0);
VIT_BENCH_OPERATION(Rotate, 27);
VIT_BENCH_OPERATION(Posterize, 4);
VIT_BENCH_OPERATION(Solarize, 100);
VIT_BENCH_OPERATION(SolarizeAdd, 99);
VIT_BENCH_OPERATION(Color, 1.8);
VIT_BENCH_OPERATION(Contrast, 1.8);
VIT_BENCH_OPERATION(Brightness, 1.8);
VIT_BENCH_OPERATION(Sharpness, 1.8);
VIT_BENCH_OPERATION(ShearX, 0.27);
VIT_BENCH_OPERATION(ShearY, 0.27);
VIT_BENCH_OPERATION(GaussianBlur, 1.5);

void DrawShape(State& state) {
  vit::v1::DataConfig config;
  config.set_source("shapes:");
  const auto data = DataSet::Open(config, {.image_size = static_cast<int>(state.range(0))});
  int64_t index = 0;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize((*data)->Load(DataSplit::kTrain, index, 0));
    index = (index + 1) % (*data)->size(DataSplit::kTrain);
  }
  PerImage(state);
}
BENCHMARK(DrawShape)->ArgName("side")->Arg(32)->Arg(224);

void NormalizeBatchOf128x32x32(State& state) {
  vit::v1::DataConfig config;
  for (int c = 0; c < 3; ++c) {
    config.add_mean(0.5);
    config.add_std(0.25);
  }
  const Normalizer normalize(config, at::kCPU);
  const at::Tensor pixels = at::full({128, 3, 32, 32}, 100, at::kByte);
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(normalize(pixels));
  PerImage(state, 128);
}
BENCHMARK(NormalizeBatchOf128x32x32);

// The gradients of `outputs` with respect to `inputs`.
void Backpropagate(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& inputs,
                   const std::vector<at::Tensor>& gradients) {
  benchmark::DoNotOptimize(torch::autograd::grad(outputs, inputs, gradients));
}

// The hidden layer of cifar10_small at batch 128, with its bias: forward and backward.
void GeluForwardBackward(State& state, at::ScalarType type,
                         at::Tensor (*gelu)(const LinearOutput&)) {
  const at::Tensor x = at::randn({128, 65, 384}).to(type).set_requires_grad(true);
  const at::Tensor bias = at::randn({384}).set_requires_grad(true);
  const at::Tensor gradient = at::randn_like(x);
  for ([[maybe_unused]] auto _ : state) Backpropagate({gelu({x, bias})}, {x, bias}, {gradient});
  state.SetItemsProcessed(state.iterations() * x.numel());
}
at::Tensor LibTorchGelu(const LinearOutput& x) {
  return at::gelu(x.product + x.bias.to(x.product.scalar_type()));
}
BENCHMARK_CAPTURE(GeluForwardBackward, own_float32, at::kFloat, &Gelu);
BENCHMARK_CAPTURE(GeluForwardBackward, libtorch_float32, at::kFloat, &LibTorchGelu);
BENCHMARK_CAPTURE(GeluForwardBackward, own_bfloat16, at::kBFloat16, &Gelu);
BENCHMARK_CAPTURE(GeluForwardBackward, libtorch_bfloat16, at::kBFloat16, &LibTorchGelu);

// A residual addition and its norm at width 192, 64 images of 65 tokens: forward and backward.
void AddNormForwardBackward(State& state, at::ScalarType type,
                            AddedAndNormalized (*add_norm)(const Residual&, const at::Tensor&,
                                                           const at::Tensor&, double,
                                                           at::ScalarType)) {
  const auto input = [](at::IntArrayRef shape) { return at::randn(shape).set_requires_grad(true); };
  const at::Tensor x = input({64, 65, 192}), weight = input({192}), bias = input({192});
  const LinearOutput branch = {at::randn({64, 65, 192}).to(type).set_requires_grad(true),
                               input({192})};
  const at::Tensor sum_gradient = at::randn_like(x), gradient = at::randn_like(branch.product);
  for ([[maybe_unused]] auto _ : state) {
    const auto [sum, normalized] = add_norm({x, branch}, weight, bias, 1e-6, type);
    Backpropagate({sum, normalized}, {x, branch.product, branch.bias, weight, bias},
                  {sum_gradient, gradient});
  }
  state.SetItemsProcessed(state.iterations() * x.numel());
}
AddedAndNormalized LibTorchAddNorm(const Residual& residual, const at::Tensor& weight,
                                   const at::Tensor& bias, double eps, at::ScalarType type) {
  const auto& [x, branch] = residual;
  const at::Tensor sum = x + (branch.product + branch.bias.to(branch.product.scalar_type()));
  return {sum, at::layer_norm(sum, weight.sizes(), weight, bias, eps).to(type)};
}
BENCHMARK_CAPTURE(AddNormForwardBackward, own_float32, at::kFloat, &AddNorm);
BENCHMARK_CAPTURE(AddNormForwardBackward, libtorch_float32, at::kFloat, &LibTorchAddNorm);
BENCHMARK_CAPTURE(AddNormForwardBackward, own_bfloat16, at::kBFloat16, &AddNorm);
BENCHMARK_CAPTURE(AddNormForwardBackward, libtorch_bfloat16, at::kBFloat16, &LibTorchAddNorm);

// Forward and backward; arguments: images, tokens, heads, features of a head.
void AttentionForwardBackward(State& state, at::ScalarType type,
                              at::Tensor (*attention)(const at::Tensor&)) {
  const at::Tensor qkv =
      at::randn({state.range(0), state.range(1), 3, state.range(2), state.range(3)})
          .to(type)
          .set_requires_grad(true);
  const at::Tensor gradient =
      at::randn({state.range(0), state.range(1), state.range(2), state.range(3)}).to(type);
  for ([[maybe_unused]] auto _ : state) Backpropagate({attention(qkv)}, {qkv}, {gradient});
  PerImage(state, static_cast<double>(state.range(0)));
}
at::Tensor OwnAttention(const at::Tensor& qkv) { return ShortAttention(qkv, 0.125); }
at::Tensor LibTorchAttention(const at::Tensor& qkv) {
  const std::vector<at::Tensor> parts = qkv.transpose(1, 3).unbind(2);  // 3 of [B, H, N, D]
  return at::scaled_dot_product_attention(parts[0], parts[1], parts[2], {}, 0, false, 0.125)
      .transpose(1, 2);
}
#define VIT_BENCH_ATTENTION(name, type, attention)                      \
  BENCHMARK_CAPTURE(AttentionForwardBackward, name, type, &(attention)) \
      ->Args({64, 65, 3, 64})                                           \
      ->Args({128, 65, 3, 32})                                          \
      ->Args({8, 197, 6, 64})                                           \
      ->Args({4, 256, 6, 64})                                           \
      ->Args({1, 577, 12, 64})
VIT_BENCH_ATTENTION(own_float32, at::kFloat, OwnAttention);
VIT_BENCH_ATTENTION(libtorch_float32, at::kFloat, LibTorchAttention);
VIT_BENCH_ATTENTION(own_bfloat16, at::kBFloat16, OwnAttention);
VIT_BENCH_ATTENTION(libtorch_bfloat16, at::kBFloat16, LibTorchAttention);

}  // namespace
}  // namespace vit::bench

int main(int argc, char** argv) {
  vit::SetComputeThreads(1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
