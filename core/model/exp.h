// The exponential function in a form that the compiler can vectorise in a loop.
#ifndef VIT_CORE_MODEL_EXP_H_
#define VIT_CORE_MODEL_EXP_H_

#include <bit>
#include <cstdint>

namespace vit {

// Returns exp(y) for y <= 0, within 2 units in the last place: 2^n * exp(r) with r in +-ln(2) / 2.
// Below -87, where exp(y) is nearly 0, it returns exp(-87), 1.6e-38.
inline float ExpOfNegative(float y) {
  y = y < -87.0f ? -87.0f : y;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = y * 1.44269504f + kRound;
  const float n = shifted - kRound;
  float r = y - n * 0.693359375f;
  r += n * 2.12194440e-4f;
  float p = 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound);
  return p * std::bit_cast<float>((exponent + 127) << 23);
}

}  // namespace vit

#endif  // VIT_CORE_MODEL_EXP_H_
