// Draws a heat map over an image.
#ifndef VIT_CORE_INFER_HEAT_MAP_H_
#define VIT_CORE_INFER_HEAT_MAP_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace vit {

// Returns a PNG of `pixels` ([3, size, size], planes, red first), blended with the colours of
// `values` ([rows, columns], row by row), which are stretched from their smallest to their largest
// and enlarged smoothly. INTERNAL if OpenCV fails.
absl::StatusOr<std::string> RenderHeatMap(absl::Span<const uint8_t> pixels, int size,
                                          absl::Span<const float> values, int rows, int columns);

}  // namespace vit

#endif  // VIT_CORE_INFER_HEAT_MAP_H_
