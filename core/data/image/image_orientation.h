// How an image is to be turned, by what is stored beside its pixels.
#ifndef VIT_CORE_DATA_IMAGE_IMAGE_ORIENTATION_H_
#define VIT_CORE_DATA_IMAGE_IMAGE_ORIENTATION_H_

#include <string>

#include "absl/strings/string_view.h"

namespace vit {

// EXIF's orientation, 1 to 8; 1 where neither block gives one. As Pillow's ImageOps.exif_transpose
// does, takes tag 0x0112 of the EXIF block's first directory, or else XMP's tiff:Orientation.
// Damage in them costs the orientation only, never the image.
//
// `exif`: a TIFF structure, behind "Exif\0\0" once or twice or not at all. `xmp`: XML. Both may be
// empty.
int ReadOrientation(absl::string_view exif, absl::string_view xmp);

// An EXIF block as ImageMagick puts it into a PNG's text, under "Raw profile type exif": its size
// and hexadecimal digits, after a line that names it. Empty where `text` is none.
std::string ParseRawProfile(absl::string_view text);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_IMAGE_ORIENTATION_H_
