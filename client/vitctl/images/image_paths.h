// The images that the arguments of a command name.
#ifndef VIT_CLIENT_VITCTL_IMAGES_IMAGE_PATHS_H_
#define VIT_CLIENT_VITCTL_IMAGES_IMAGE_PATHS_H_

#include <istream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

// One image to read, or why there is none: then `path` is the argument, pattern or folder.
struct ImagePath {
  std::string path;
  absl::Status status;
};

// Returns the images of each argument, in the order of the arguments.
//
// A file is itself, whatever its name. A folder stands for the images in it and in its folders, in
// bytewise order of their paths; images are told by extension, hidden files and folders are left
// out, and a folder that links lead to several times is read once. A pattern such as "*.jpg" that
// is not the name of a file stands for what it matches, in bytewise order. "-" is itself. A folder
// or pattern without images is an entry with NOT_FOUND.
std::vector<ImagePath> FindImages(const std::vector<std::string>& arguments);

// Returns the lines of `file`, "-" for `in`: one path each, empty lines left out, not expanded.
// INVALID_ARGUMENT if there are none. An error's message names the file.
absl::StatusOr<std::vector<std::string>> ReadFileList(const std::string& file, std::istream& in);

// Like FindImages, but no name is a pattern or standard input.
std::vector<ImagePath> FindListedImages(const std::vector<std::string>& names);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_IMAGES_IMAGE_PATHS_H_
