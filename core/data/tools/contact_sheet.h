// Small pictures with captions, side by side.
#ifndef VIT_CORE_DATA_TOOLS_CONTACT_SHEET_H_
#define VIT_CORE_DATA_TOOLS_CONTACT_SHEET_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/image/image.h"

namespace vit {

struct ContactTile {
  Image image;
  std::vector<std::string> caption;  // lines; what is not ASCII is drawn as "?"
};

// A PNG of the tiles in rows of `columns`. Pictures smaller than about 128 pixels are enlarged by a
// whole factor, each pixel a square, so that every pixel can be told; no caption is wider than its
// picture. All pictures have the same size. INTERNAL where OpenCV fails.
absl::StatusOr<std::string> DrawContactSheet(const std::vector<ContactTile>& tiles, int columns);

}  // namespace vit

#endif  // VIT_CORE_DATA_TOOLS_CONTACT_SHEET_H_
