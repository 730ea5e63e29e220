// What a load measured, for people and for programs.
#ifndef VIT_CLIENT_VITCTL_LOAD_LOAD_TEXT_H_
#define VIT_CLIENT_VITCTL_LOAD_LOAD_TEXT_H_

#include <nlohmann/json.hpp>
#include <vector>

#include "client/vitctl/load/load_generator.h"
#include "client/vitctl/view/table.h"

namespace vit {

struct Measurement {
  LoadOptions options;
  int images_per_request = 1;
  LoadReport report;
};

// A row for each measurement. Its first column is CLIENTS, or RATE if they are open loops.
Table LoadTable(const std::vector<Measurement>& measurements);

// A list with an entry for each measurement.
nlohmann::ordered_json LoadJson(const std::vector<Measurement>& measurements);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_LOAD_LOAD_TEXT_H_
