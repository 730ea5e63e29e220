// The policies that AutoAugment found (Cubuk et al., 2018, https://arxiv.org/abs/1805.09501):
// facts from timm's auto_augment.py and torchvision's autoaugment.py.
#include "core/data/augment/augment_sub_policies.h"

#include <array>

#include "absl/types/span.h"

namespace vit::augment {
namespace {

struct Step {
  absl::string_view name;
  double probability;
  double magnitude;
};
struct Pair {
  Step first;
  Step second;
};

// From the EfficientNet reference implementation for TPUs, for ImageNet.
constexpr std::array<Pair, 25> kV0 = {{
    {{"Equalize", 0.8, 1}, {"ShearY", 0.8, 4}},
    {{"Color", 0.4, 9}, {"Equalize", 0.6, 3}},
    {{"Color", 0.4, 1}, {"Rotate", 0.6, 8}},
    {{"Solarize", 0.8, 3}, {"Equalize", 0.4, 7}},
    {{"Solarize", 0.4, 2}, {"Solarize", 0.6, 2}},
    {{"Color", 0.2, 0}, {"Equalize", 0.8, 8}},
    {{"Equalize", 0.4, 8}, {"SolarizeAdd", 0.8, 3}},
    {{"ShearX", 0.2, 9}, {"Rotate", 0.6, 8}},
    {{"Color", 0.6, 1}, {"Equalize", 1, 2}},
    {{"Invert", 0.4, 9}, {"Rotate", 0.6, 0}},
    {{"Equalize", 1, 9}, {"ShearY", 0.6, 3}},
    {{"Color", 0.4, 7}, {"Equalize", 0.6, 0}},
    {{"Posterize", 0.4, 6}, {"AutoContrast", 0.4, 7}},
    {{"Solarize", 0.6, 8}, {"Color", 0.6, 9}},
    {{"Solarize", 0.2, 4}, {"Rotate", 0.8, 9}},
    {{"Rotate", 1, 7}, {"TranslateYRel", 0.8, 9}},
    {{"ShearX", 0, 0}, {"Solarize", 0.8, 4}},
    {{"ShearY", 0.8, 0}, {"Color", 0.6, 4}},
    {{"Color", 1, 0}, {"Rotate", 0.6, 2}},
    {{"Equalize", 0.8, 4}, {"Equalize", 0, 8}},
    {{"Equalize", 1, 4}, {"AutoContrast", 0.6, 2}},
    {{"ShearY", 0.4, 7}, {"SolarizeAdd", 0.6, 7}},
    {{"Posterize", 0.8, 2}, {"Solarize", 0.6, 10}},
    {{"Solarize", 0.6, 8}, {"Equalize", 0.6, 1}},
    {{"Color", 0.8, 6}, {"Rotate", 0.4, 5}},
}};

// From the paper, for ImageNet.
constexpr std::array<Pair, 25> kOriginal = {{
    {{"Posterize", 0.4, 8}, {"Rotate", 0.6, 9}},  {{"Solarize", 0.6, 5}, {"AutoContrast", 0.6, 5}},
    {{"Equalize", 0.8, 8}, {"Equalize", 0.6, 3}}, {{"Posterize", 0.6, 7}, {"Posterize", 0.6, 6}},
    {{"Equalize", 0.4, 7}, {"Solarize", 0.2, 4}}, {{"Equalize", 0.4, 4}, {"Rotate", 0.8, 8}},
    {{"Solarize", 0.6, 3}, {"Equalize", 0.6, 7}}, {{"Posterize", 0.8, 5}, {"Equalize", 1, 2}},
    {{"Rotate", 0.2, 3}, {"Solarize", 0.6, 8}},   {{"Equalize", 0.6, 8}, {"Posterize", 0.4, 6}},
    {{"Rotate", 0.8, 8}, {"Color", 0.4, 0}},      {{"Rotate", 0.4, 9}, {"Equalize", 0.6, 2}},
    {{"Equalize", 0, 7}, {"Equalize", 0.8, 8}},   {{"Invert", 0.6, 4}, {"Equalize", 1, 8}},
    {{"Color", 0.6, 4}, {"Contrast", 1, 8}},      {{"Rotate", 0.8, 8}, {"Color", 1, 2}},
    {{"Color", 0.8, 8}, {"Solarize", 0.8, 7}},    {{"Sharpness", 0.4, 7}, {"Invert", 0.6, 8}},
    {{"ShearX", 0.6, 5}, {"Equalize", 1, 9}},     {{"Color", 0.4, 0}, {"Equalize", 0.6, 3}},
    {{"Equalize", 0.4, 7}, {"Solarize", 0.2, 4}}, {{"Solarize", 0.6, 5}, {"AutoContrast", 0.6, 5}},
    {{"Invert", 0.6, 4}, {"Equalize", 1, 8}},     {{"Color", 0.6, 4}, {"Contrast", 1, 8}},
    {{"Equalize", 0.8, 8}, {"Equalize", 0.6, 3}},
}};

constexpr std::array<Pair, 25> kCifar10 = {{
    {{"Invert", 0.1, 0}, {"Contrast", 0.2, 6}},
    {{"Rotate", 0.7, 2}, {"TranslateX", 0.3, 9}},
    {{"Sharpness", 0.8, 1}, {"Sharpness", 0.9, 3}},
    {{"ShearY", 0.5, 8}, {"TranslateY", 0.7, 9}},
    {{"AutoContrast", 0.5, 0}, {"Equalize", 0.9, 0}},
    {{"ShearY", 0.2, 7}, {"Posterize", 0.3, 7}},
    {{"Color", 0.4, 3}, {"Brightness", 0.6, 7}},
    {{"Sharpness", 0.3, 9}, {"Brightness", 0.7, 9}},
    {{"Equalize", 0.6, 0}, {"Equalize", 0.5, 0}},
    {{"Contrast", 0.6, 7}, {"Sharpness", 0.6, 5}},
    {{"Color", 0.7, 7}, {"TranslateX", 0.5, 8}},
    {{"Equalize", 0.3, 0}, {"AutoContrast", 0.4, 0}},
    {{"TranslateY", 0.4, 3}, {"Sharpness", 0.2, 6}},
    {{"Brightness", 0.9, 6}, {"Color", 0.2, 8}},
    {{"Solarize", 0.5, 2}, {"Invert", 0, 0}},
    {{"Equalize", 0.2, 0}, {"AutoContrast", 0.6, 0}},
    {{"Equalize", 0.2, 0}, {"Equalize", 0.6, 0}},
    {{"Color", 0.9, 9}, {"Equalize", 0.6, 0}},
    {{"AutoContrast", 0.8, 0}, {"Solarize", 0.2, 8}},
    {{"Brightness", 0.1, 3}, {"Color", 0.7, 0}},
    {{"Solarize", 0.4, 5}, {"AutoContrast", 0.9, 0}},
    {{"TranslateY", 0.9, 9}, {"TranslateY", 0.7, 9}},
    {{"AutoContrast", 0.9, 0}, {"Solarize", 0.8, 3}},
    {{"Equalize", 0.8, 0}, {"Invert", 0.1, 0}},
    {{"TranslateY", 0.7, 9}, {"AutoContrast", 0.9, 0}},
}};

constexpr std::array<Pair, 25> kSvhn = {{
    {{"ShearX", 0.9, 4}, {"Invert", 0.2, 0}},       {{"ShearY", 0.9, 8}, {"Invert", 0.7, 0}},
    {{"Equalize", 0.6, 0}, {"Solarize", 0.6, 6}},   {{"Invert", 0.9, 0}, {"Equalize", 0.6, 0}},
    {{"Equalize", 0.6, 0}, {"Rotate", 0.9, 3}},     {{"ShearX", 0.9, 4}, {"AutoContrast", 0.8, 0}},
    {{"ShearY", 0.9, 8}, {"Invert", 0.4, 0}},       {{"ShearY", 0.9, 5}, {"Solarize", 0.2, 6}},
    {{"Invert", 0.9, 0}, {"AutoContrast", 0.8, 0}}, {{"Equalize", 0.6, 0}, {"Rotate", 0.9, 3}},
    {{"ShearX", 0.9, 4}, {"Solarize", 0.3, 3}},     {{"ShearY", 0.8, 8}, {"Invert", 0.7, 0}},
    {{"Equalize", 0.9, 0}, {"TranslateY", 0.6, 6}}, {{"Invert", 0.9, 0}, {"Equalize", 0.6, 0}},
    {{"Contrast", 0.3, 3}, {"Rotate", 0.8, 4}},     {{"Invert", 0.8, 0}, {"TranslateY", 0, 2}},
    {{"ShearY", 0.7, 6}, {"Solarize", 0.4, 8}},     {{"Invert", 0.6, 0}, {"Rotate", 0.8, 4}},
    {{"ShearY", 0.3, 7}, {"TranslateX", 0.9, 3}},   {{"ShearX", 0.1, 6}, {"Invert", 0.6, 0}},
    {{"Solarize", 0.7, 2}, {"TranslateY", 0.6, 7}}, {{"ShearY", 0.8, 4}, {"Invert", 0.8, 0}},
    {{"ShearX", 0.7, 9}, {"TranslateY", 0.8, 3}},   {{"ShearY", 0.8, 5}, {"AutoContrast", 0.7, 0}},
    {{"ShearX", 0.7, 2}, {"Invert", 0.1, 0}},
}};

// `posterize`: the one of timm's three operations that "Posterize" stands for.
std::vector<std::vector<PolicyStep>> TimmSteps(absl::Span<const Pair> pairs,
                                               absl::string_view posterize) {
  std::vector<std::vector<PolicyStep>> policy;
  const auto step = [&](const Step& from) {
    const auto name = from.name == "Posterize" ? posterize : from.name;
    return PolicyStep{FindTimmOperation(name), from.probability, from.magnitude};
  };
  for (const Pair& pair : pairs) policy.push_back({step(pair.first), step(pair.second)});
  return policy;
}

std::vector<std::vector<PolicyStep>> TorchvisionSteps(absl::Span<const Pair> pairs) {
  std::vector<std::vector<PolicyStep>> policy;
  const auto step = [](const Step& from) {
    return PolicyStep{FindAutoAugmentOperation(from.name), from.probability, from.magnitude};
  };
  for (const Pair& pair : pairs) policy.push_back({step(pair.first), step(pair.second)});
  return policy;
}

}  // namespace

std::vector<std::vector<PolicyStep>> TimmSubPolicies(absl::string_view name) {
  if (name == "v0") return TimmSteps(kV0, "Posterize");
  if (name == "v0r") return TimmSteps(kV0, "PosterizeIncreasing");
  if (name == "original") return TimmSteps(kOriginal, "PosterizeOriginal");
  if (name == "originalr") return TimmSteps(kOriginal, "PosterizeIncreasing");
  if (name == "3a") {
    return {{{FindTimmOperation("Solarize"), 1, 5}},
            {{FindTimmOperation("Desaturate"), 1, 10}},
            {{FindTimmOperation("GaussianBlurRand"), 1, 10}}};
  }
  return {};
}

std::vector<std::vector<PolicyStep>> TorchvisionSubPolicies(absl::string_view name) {
  if (name == "imagenet") return TorchvisionSteps(kOriginal);
  if (name == "cifar10") return TorchvisionSteps(kCifar10);
  if (name == "svhn") return TorchvisionSteps(kSvhn);
  return {};
}

}  // namespace vit::augment
