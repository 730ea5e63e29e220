// Generated images for measurements.
#ifndef VIT_CLIENT_VITCTL_LOAD_SAMPLE_IMAGES_H_
#define VIT_CLIENT_VITCTL_LOAD_SAMPLE_IMAGES_H_

#include <cstdint>
#include <string>

namespace vit {

// Returns a square BMP of `size` x `size` pixels, 24 bits each, uncompressed: a coloured gradient
// with noise. Equal seeds give equal images, different seeds different ones.
std::string SampleImage(int size, uint32_t seed);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_LOAD_SAMPLE_IMAGES_H_
