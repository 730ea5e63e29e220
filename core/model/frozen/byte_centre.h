// What frozen models subtract from bytes.
#ifndef VIT_CORE_MODEL_FROZEN_BYTE_CENTRE_H_
#define VIT_CORE_MODEL_FROZEN_BYTE_CENTRE_H_

namespace vit::frozen {

// Centred, every byte is a bfloat16, and a weight's rounding matters least.
inline constexpr int kByteCentre = 128;

}  // namespace vit::frozen

#endif  // VIT_CORE_MODEL_FROZEN_BYTE_CENTRE_H_
