// --priority of the commands that send images.
#ifndef VIT_CLIENT_VITCTL_IMAGES_PRIORITY_OPTION_H_
#define VIT_CLIENT_VITCTL_IMAGES_PRIORITY_OPTION_H_

#include <string>

#include "vit/v1/inference.pb.h"

namespace CLI {
class App;
}

namespace vit {

// `name` keeps what the user wrote; it must outlive the parsing.
void AddPriorityOption(CLI::App* command, std::string* name);

// PRIORITY_UNSPECIFIED for an empty name.
vit::v1::Priority PriorityOf(const std::string& name);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_IMAGES_PRIORITY_OPTION_H_
