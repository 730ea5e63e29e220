// The shells' side of completion: short scripts that ask `vitctl __complete` for everything.
#ifndef VIT_CLIENT_VITCTL_COMPLETE_COMPLETION_SCRIPTS_H_
#define VIT_CLIENT_VITCTL_COMPLETE_COMPLETION_SCRIPTS_H_

#include <string>

namespace vit {

// `shell`: bash, zsh or fish.
std::string CompletionScript(const std::string& shell);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_COMPLETE_COMPLETION_SCRIPTS_H_
