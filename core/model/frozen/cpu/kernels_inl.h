// The kernels of kernels.h. kernels.cc includes this file once for each instruction set, within a
// namespace of its own and after telling the compiler to use that set; so it includes nothing
// itself. VIT_KERNELS_AVX512 says that vectors are registers, VIT_KERNELS_BFLOAT16 that the
// processor rounds to bfloat16 by itself.

VIT_INLINE void Put(Floats x, float* to) { Store(x, to); }
VIT_INLINE void Put(Floats x, at::BFloat16* to) {
#ifdef VIT_KERNELS_BFLOAT16
  const __m256bh half = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(x));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(half));
#else
  Store(x, to);
#endif
}

// 1 for the values of a row's last vector, 0 for its padding.
VIT_INLINE Floats LastMask(int64_t size) {
  Floats mask{};
  const int64_t last = size - (RoundUpToLanes(size) - kLanes);
  for (int64_t i = 0; i < kLanes; ++i) mask[i] = i < last ? 1.0f : 0.0f;
  return mask;
}

VIT_INLINE Floats Clamp(Floats x, float low, float high) {
  const Floats lows = Floats{} + low, highs = Floats{} + high;
  x = x < lows ? lows : x;
  return x > highs ? highs : x;
}

VIT_INLINE Floats Broadcast(float x) { return Floats{} + x; }

template <int kTerms>
VIT_INLINE Floats Polynomial(Floats x, const float (&terms)[kTerms]) {
  Floats value = Broadcast(terms[kTerms - 1]);
  for (int i = kTerms - 2; i >= 0; --i) value = value * x + terms[i];
  return value;
}

// Returns 2^y for y <= 0: 2^n * 2^f with f in +-1/2. The polynomials minimise the relative error,
// which is 1e-7 for float and 8e-5, a twentieth of its rounding, for bfloat16. Below -126 the
// result is that of -126.
template <typename T>
VIT_INLINE Floats Exp2OfNegative(Floats y) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const Floats least = Broadcast(-126.0f);
  y = y < least ? least : y;
  const Floats shifted = y + kRound;
  const Floats f = y - (shifted - kRound);
  constexpr float kFloatTerms[] = {1.0f,           0.693147206f,   0.240226466f,   0.05550329f,
                                   0.00961851953f, 0.00133998604f, 0.000153375768f};
  constexpr float kBFloat16Terms[] = {0.99992894f, 0.693276242f, 0.242604051f, 0.0550886838f};
  const Floats power =
      std::is_same_v<T, float> ? Polynomial(f, kFloatTerms) : Polynomial(f, kBFloat16Terms);
  using internal::Words;
  const Words exponent = reinterpret_cast<Words>(shifted) - 0x4b400000u;
  return power * reinterpret_cast<Floats>((exponent + 127) << 23);
}

// x Phi(x). Phi(x) = 1/2 + x P(x^2) within +-limit and 0 or 1 beyond; P is a least-squares fit at
// Chebyshev's points, in t = 2 x^2 / limit^2 - 1. The error is 1.5e-7 * max(1, |x|) for float and
// 8e-5 for bfloat16.
template <typename T>
VIT_INLINE Floats GeluOf(Floats x) {
  constexpr bool kFloat = std::is_same_v<T, float>;
  constexpr float kLimit = kFloat ? 5.3f : 4.2f;
  constexpr float kFloatTerms[] = {
      0.13339256f,     -0.0665184434f,   0.0492644006f,   -0.0395914148f,
      0.0320753295f,   -0.0252699049f,   0.0189532771f,   -0.0133279237f,
      0.00874328826f,  -0.00548413366f,  0.00326888911f,  -0.00159640641f,
      0.000627732628f, -0.000416359249f, 0.000315449527f, -9.67296284e-05f};
  constexpr float kBFloat16Terms[] = {0.167855718f,   -0.0814987877f,  0.0558456215f,
                                      -0.038760095f,  0.0247336766f,   -0.014211715f,
                                      0.00876793904f, -0.00541545172f, 0.00172815665f};
  const Floats in = Clamp(x, -kLimit, kLimit);
  const Floats t = in * in * (2 / (kLimit * kLimit)) - 1.0f;
  const Floats p = kFloat ? Polynomial(t, kFloatTerms) : Polynomial(t, kBFloat16Terms);
  return x * Clamp(in * p + 0.5f, 0.0f, 1.0f);
}

// x / (1 + exp(-z))
template <typename T>
VIT_INLINE Floats TimesSigmoid(Floats x, Floats z) {
  constexpr float kLog2E = 1.44269504f;
  const Floats magnitude = z < Floats{} ? -z : z;
  const Floats e = Exp2OfNegative<T>(magnitude * -kLog2E);
  const Floats high = 1.0f / (1.0f + e);
  return x * (z < Floats{} ? e * high : high);
}

template <typename T, vit::v1::Activation kActivation>
VIT_INLINE Floats ActivationOf(Floats x) {
  if constexpr (kActivation == vit::v1::ACTIVATION_GELU) return GeluOf<T>(x);
  if constexpr (kActivation == vit::v1::ACTIVATION_GELU_TANH) {
    // (1 + tanh(u)) / 2 = sigmoid(2 u)
    return TimesSigmoid<T>(x, 1.5957691216f * (x + 0.044715f * x * x * x));
  }
  if constexpr (kActivation == vit::v1::ACTIVATION_QUICK_GELU) {
    return TimesSigmoid<T>(x, 1.702f * x);
  }
  return x;
}

template <typename T, vit::v1::Activation kActivation>
void ActivateBy(const float* in, int64_t stride, const float* bias, int64_t rows, int64_t columns,
                T* out, int64_t out_stride) {
  for (int64_t row = 0; row < rows; ++row, in += stride, out += out_stride) {
    for (int64_t i = 0; i < columns; i += kLanes) {
      Put(ActivationOf<T, kActivation>(Load(in + i) + Load(bias + i)), out + i);
    }
  }
}

template <typename T>
void Activate(const float* in, int64_t stride, const float* bias, int64_t rows, int64_t columns,
              vit::v1::Activation activation, T* out, int64_t out_stride) {
  using namespace vit::v1;  // NOLINT(google-build-using-namespace)
  const auto by = activation == ACTIVATION_GELU         ? ActivateBy<T, ACTIVATION_GELU>
                  : activation == ACTIVATION_GELU_TANH  ? ActivateBy<T, ACTIVATION_GELU_TANH>
                  : activation == ACTIVATION_QUICK_GELU ? ActivateBy<T, ACTIVATION_QUICK_GELU>
                                                        : ActivateBy<T, ACTIVATION_UNSPECIFIED>;
  by(in, stride, bias, rows, columns, out, out_stride);
}

VIT_INLINE Floats InputOf(const NormInput& in, const float* row, int64_t i) {
  const Floats x = Load(row + i);
  return in.offset == nullptr ? x : x + Load(in.offset + i);
}

// Calls put(i, the normalised vector at i) for each vector of a row, of which get(i) is the vector
// at i; the padding is 0.
template <typename Get, typename Put>
VIT_INLINE void NormalizeRow(int64_t size, float eps, Floats mask, const Get& get, const Put& put) {
  const int64_t last = RoundUpToLanes(size) - kLanes;
  Floats sums{};
  for (int64_t i = 0; i <= last; i += kLanes) sums += get(i);
  const float mean = Total(sums) / static_cast<float>(size);
  Floats squares{};
  for (int64_t i = 0; i < last; i += kLanes) {
    const Floats difference = get(i) - mean;
    squares += difference * difference;
  }
  const Floats difference = (get(last) - mean) * mask;
  squares += difference * difference;
  const float scale = 1 / std::sqrt(Total(squares) / static_cast<float>(size) + eps);
  for (int64_t i = 0; i < last; i += kLanes) put(i, (get(i) - mean) * scale);
  put(last, difference * scale);
}

template <typename T>
void Normalize(const NormInput& in, T* out, int64_t out_stride) {
  const Floats mask = LastMask(in.size);
  const float* x = in.x;
  for (int64_t row = 0; row < in.rows; ++row, x += in.stride, out += out_stride) {
    NormalizeRow(
        in.size, in.eps, mask, [&](int64_t i) { return InputOf(in, x, i); },
        [&](int64_t i, Floats value) { Put(value, out + i); });
  }
}

void NormalizeAffine(const NormInput& in, const float* weight, const float* bias, float* out,
                     int64_t out_stride) {
  const Floats mask = LastMask(in.size);
  const float* x = in.x;
  for (int64_t row = 0; row < in.rows; ++row, x += in.stride, out += out_stride) {
    NormalizeRow(
        in.size, in.eps, mask, [&](int64_t i) { return InputOf(in, x, i); },
        [&](int64_t i, Floats value) {
          Store(value * Load(weight + i) + Load(bias + i), out + i);
        });
  }
}

template <typename T>
void NormalizeHeads(T* x, int64_t stride, int64_t rows, const HeadNorm& norm) {
  const Floats mask = LastMask(norm.size);
  for (int64_t row = 0; row < rows; ++row, x += stride) {
    for (int64_t head = 0; head < norm.heads; ++head) {
      T* const part = x + head * norm.stride;
      NormalizeRow(
          norm.size, norm.eps, mask, [&](int64_t i) { return Load(part + i); },
          [&](int64_t i, Floats value) {
            Put(value * Load(norm.weight + i) + Load(norm.bias + i), part + i);
          });
    }
  }
}

template <typename T>
void Convert(const NormInput& in, T* out, int64_t out_stride) {
  const float* x = in.x;
  for (int64_t row = 0; row < in.rows; ++row, x += in.stride, out += out_stride) {
    for (int64_t i = 0; i < in.size; i += kLanes) Put(InputOf(in, x, i), out + i);
  }
}

template <typename T>
void Exponentiate(float* scores, int64_t stride, int64_t rows, int64_t columns, T* out,
                  int64_t out_stride, float* factors) {
  const Floats mask = LastMask(columns);
  const int64_t last = RoundUpToLanes(columns) - kLanes;
  for (int64_t row = 0; row < rows; ++row, scores += stride, out += out_stride) {
    // The padding takes the row's first score: it does not change the largest.
    const Floats end = mask > 0.5f ? Load(scores + last) : Broadcast(scores[0]);
    Floats tops = end;
    for (int64_t i = 0; i < last; i += kLanes) {
      const Floats x = Load(scores + i);
      tops = x > tops ? x : tops;
    }
    float top = tops[0];
    for (int i = 1; i < kLanes; ++i) top = std::max(top, tops[i]);
    Floats sums{};
    for (int64_t i = 0; i < last; i += kLanes) {
      const Floats power = Exp2OfNegative<T>(Load(scores + i) - top);
      sums += power;
      Put(power, out + i);
    }
    const Floats power = Exp2OfNegative<T>(end - top) * mask;
    Put(power, out + last);
    factors[row] = 1 / Total(sums + power);
  }
}

template <typename T>
void ScaleRows(const float* in, int64_t stride, const float* factors, int64_t rows, int64_t columns,
               T* out, int64_t out_stride) {
  for (int64_t row = 0; row < rows; ++row, in += stride, out += out_stride) {
    for (int64_t i = 0; i < columns; i += kLanes) Put(Load(in + i) * factors[row], out + i);
  }
}

// Values of 32 bits: a float, or a pair of neighbours in bfloat16, which stay together.
template <typename T>
void PackTransposed(const T* in, int64_t stride, int64_t rows, int64_t columns, T* packed,
                    int64_t packed_columns) {
  constexpr int64_t kTogether = 4 / sizeof(T);
  const int64_t words = columns / kTogether;
  for (int64_t row = 0; row < rows; row += kLanes) {
    const int64_t count = std::min(kLanes, rows - row);
    for (int64_t word = 0; word < words; word += kLanes) {
      const T* const from = in + row * stride + word * kTogether;
      T* const to = packed + (word * packed_columns + row) * kTogether;
#ifdef VIT_KERNELS_AVX512
      Floats tile[kLanes];
      for (int64_t r = 0; r < kLanes; ++r) {
        tile[r] = r < count ? Load(reinterpret_cast<const float*>(from + r * stride)) : Floats{};
      }
      vit::avx512::Transpose(tile);
      for (int64_t w = 0; w < kLanes; ++w) {
        Store(tile[w], reinterpret_cast<float*>(to + w * packed_columns * kTogether));
      }
#else
      for (int64_t w = 0; w < kLanes; ++w) {
        for (int64_t r = 0; r < count; ++r) {
          for (int64_t k = 0; k < kTogether; ++k) {
            to[(w * packed_columns + r) * kTogether + k] = from[r * stride + w * kTogether + k];
          }
        }
      }
#endif
    }
  }
}

void PackPairs(const at::BFloat16* in, int64_t stride, int64_t rows, int64_t columns,
               at::BFloat16* packed) {
  using internal::Words;
  for (int64_t row = 0; row < rows; row += 2, packed += 2 * columns) {
    const at::BFloat16* const first = in + row * stride;
    for (int64_t i = 0; i < columns; i += kLanes) {
      const Words low = reinterpret_cast<Words>(Load(first + i)) >> 16;
      const Words high =
          row + 1 < rows ? reinterpret_cast<Words>(Load(first + stride + i)) : Words{};
      Store(reinterpret_cast<Floats>(low | high), reinterpret_cast<float*>(packed + 2 * i));
    }
  }
}

// Exact: a byte's 8 bits fit into bfloat16's significand.
VIT_INLINE void PutPixel(uint8_t byte, float* to) {
  *to = static_cast<float>(static_cast<int>(byte) - kByteCentre);
}
VIT_INLINE void PutPixel(uint8_t byte, at::BFloat16* to) {
  const float value = static_cast<float>(static_cast<int>(byte) - kByteCentre);
  *reinterpret_cast<uint16_t*>(to) =
      static_cast<uint16_t>(__builtin_bit_cast(uint32_t, value) >> 16);
}

template <typename T>
VIT_INLINE void PutPixel(float value, T* to) {
  *to = static_cast<T>(value - kByteCentre);
}

template <typename T, typename Pixel>
void CutPatches(const Pixel* image, int64_t side, int64_t patch_height, int64_t patch_width,
                int64_t first, int64_t count, T* out, int64_t stride) {
  const int64_t across = side / patch_width;
  for (int64_t patch = first; patch < first + count; ++patch, out += stride) {
    const Pixel* const corner =
        image + patch / across * patch_height * side + patch % across * patch_width;
    T* to = out;
    for (int64_t channel = 0; channel < 3; ++channel) {
      for (int64_t y = 0; y < patch_height; ++y) {
        const Pixel* const from = corner + (channel * side + y) * side;
        for (int64_t x = 0; x < patch_width; ++x) PutPixel(from[x], to + x);
        to += patch_width;
      }
    }
  }
}

template <typename T>
Kernels<T> MakeKernels() {
  Kernels<T> kernels = {
      .normalize = Normalize<T>,
      .normalize_affine = NormalizeAffine,
      .convert = Convert<T>,
      .activate = Activate<T>,
      .exponentiate = Exponentiate<T>,
      .scale_rows = ScaleRows<T>,
      .normalize_heads = NormalizeHeads<T>,
      .pack_transposed = PackTransposed<T>,
      .pack = nullptr,
      .cut_patches = CutPatches<T, uint8_t>,
      .cut_float_patches = CutPatches<T, float>,
  };
  if constexpr (!std::is_same_v<T, float>) kernels.pack = PackPairs;
  return kernels;
}
