#include "client/vitctl/images/priority_option.h"

#include <CLI/CLI.hpp>

namespace vit {

void AddPriorityOption(CLI::App* command, std::string* name) {
  command->add_option("--priority", *name, "low, normal or high: the place in the queue")
      ->type_name("PRIORITY")
      ->check(CLI::IsMember({"low", "normal", "high"}).description(""));
}

vit::v1::Priority PriorityOf(const std::string& name) {
  if (name == "low") return vit::v1::PRIORITY_LOW;
  if (name == "normal") return vit::v1::PRIORITY_NORMAL;
  if (name == "high") return vit::v1::PRIORITY_HIGH;
  return vit::v1::PRIORITY_UNSPECIFIED;
}

}  // namespace vit
