// Small images with captions, side by side.
#ifndef VIT_CORE_DATA_TOOLS_CONTACT_SHEET_H_
#define VIT_CORE_DATA_TOOLS_CONTACT_SHEET_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/image/image.h"

namespace vit {

struct ContactTile {
  Image image;
  std::vector<std::string> caption;  // lines; characters outside ASCII are drawn as "?"
};

// Draws the tiles in rows of `columns` and returns a PNG. Images smaller than about 128 pixels are
// enlarged by a whole factor, so that every pixel is a visible square; captions are cut to the
// width of their image. All images must have the same size. INTERNAL if OpenCV fails.
absl::StatusOr<std::string> DrawContactSheet(const std::vector<ContactTile>& tiles, int columns);

}  // namespace vit

#endif  // VIT_CORE_DATA_TOOLS_CONTACT_SHEET_H_
