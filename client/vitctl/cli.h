// vitctl as a function: parses a command line and runs its command.
#ifndef VIT_CLIENT_VITCTL_CLI_H_
#define VIT_CLIENT_VITCTL_CLI_H_

#include <string>
#include <vector>

#include "client/vitctl/session.h"

namespace vit {

// `args`: without the program's name. Returns the exit code.
int RunVitctl(const std::vector<std::string>& args, Io io);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_CLI_H_
