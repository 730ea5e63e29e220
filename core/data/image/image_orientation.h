// Reads how to turn an image upright from its metadata.
#ifndef VIT_CORE_DATA_IMAGE_IMAGE_ORIENTATION_H_
#define VIT_CORE_DATA_IMAGE_IMAGE_ORIENTATION_H_

#include <string>

#include "absl/strings/string_view.h"

namespace vit {

// Returns EXIF's orientation, 1 to 8; 1 if neither block has one. Like Pillow's
// ImageOps.exif_transpose, takes tag 0x0112 of the EXIF block's first directory, or otherwise XMP's
// tiff:Orientation. Damage in them loses only the orientation, never the image.
//
// `exif`: a TIFF structure, after "Exif\0\0" once, twice or not at all. `xmp`: XML. Both may be
// empty.
int ReadOrientation(absl::string_view exif, absl::string_view xmp);

// Parses an EXIF block as ImageMagick puts it into a PNG's text, under "Raw profile type exif": a
// line that names it, its size, and hexadecimal digits. Empty if `text` is not one.
std::string ParseRawProfile(absl::string_view text);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_IMAGE_ORIENTATION_H_
