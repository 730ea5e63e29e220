#include "client/vitctl/load/sample_images.h"

#include <random>

namespace vit {
namespace {

// `value`, with its lowest byte first.
void Append(uint32_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

}  // namespace

std::string SampleImage(int size, uint32_t seed) {
  constexpr uint32_t kHeaderBytes = 14 + 40;
  const uint32_t row_bytes = (3 * size + 3) / 4 * 4;
  const uint32_t pixel_bytes = row_bytes * size;
  std::string bmp = "BM";
  bmp.reserve(kHeaderBytes + pixel_bytes);
  Append(kHeaderBytes + pixel_bytes, 4, &bmp);
  Append(0, 4, &bmp);
  Append(kHeaderBytes, 4, &bmp);
  Append(40, 4, &bmp);  // BITMAPINFOHEADER
  Append(size, 4, &bmp);
  Append(size, 4, &bmp);
  Append(1, 2, &bmp);   // planes
  Append(24, 2, &bmp);  // bits per pixel
  Append(0, 4, &bmp);   // not compressed
  Append(pixel_bytes, 4, &bmp);
  Append(0, 4, &bmp);  // no resolution
  Append(0, 4, &bmp);
  Append(0, 4, &bmp);  // no palette
  Append(0, 4, &bmp);

  std::mt19937 random(seed);
  const uint32_t blue = random() % 192;
  const uint32_t noise = 64;
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      const uint32_t bits = random();
      Append(blue + bits % noise, 1, &bmp);
      Append(191 * y / size + (bits >> 8) % noise, 1, &bmp);
      Append(191 * x / size + (bits >> 16) % noise, 1, &bmp);
    }
    Append(0, static_cast<int>(row_bytes) - 3 * size, &bmp);
  }
  return bmp;
}

}  // namespace vit
