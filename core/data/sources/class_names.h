// Names of classes: which of them are the same, and in which order classes stand.
#ifndef VIT_CORE_DATA_SOURCES_CLASS_NAMES_H_
#define VIT_CORE_DATA_SOURCES_CLASS_NAMES_H_

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/data/dataset.h"

namespace vit {

// `name` as it is shown and stored: in Unicode's composed form (NFC), without white space and
// zero-width spaces around it. Empty where nothing is left, or where it is no UTF-8 or holds
// control characters.
std::string NormalizeClassName(absl::string_view name);

// Class names in class order, each once: by number where all are numbers ("007", "-1", "2.50";
// where two are the same number, by bytes), else by bytes. By listing version 1, only digits
// without a superfluous 0 in front are a number.
std::vector<std::string> OrderClassNames(std::vector<std::string> names, int listing_version = 2);

// The classes of a source, found name by name.
//
// By listing version 2, names are the same class where NormalizeClassName and then the removal of
// what cannot be seen (default ignorable characters) and of the differences between spaces make
// them equal. The splits may write such a name differently; within a split that is an error. By
// version 1, names are compared byte by byte.
class ClassTable {
 public:
  explicit ClassTable(int listing_version) : listing_version_(listing_version) {}

  // The number of the class `name` of a sample in `split`, by first appearance. `place` says where
  // the name was met, for messages. INVALID_ARGUMENT for a name that is no text, or that cannot be
  // told from another name of the same split.
  absl::StatusOr<int32_t> Add(DataSplit split, absl::string_view name,
                              absl::FunctionRef<std::string()> place);

  struct Order {
    std::vector<std::string> names;  // in class order
    std::vector<int32_t> labels;     // by the number that Add gave
  };
  // The classes of the training split. INVALID_ARGUMENT for one that only the other split has.
  absl::StatusOr<Order> Finish() const;

 private:
  struct Spelling {
    std::string name;  // as the source has it
    std::string place;
  };
  struct Class {
    std::array<Spelling, 2> spellings;  // training, validation; empty where not met
  };

  std::string Key(absl::string_view name) const;
  std::string Shown(const Spelling& spelling) const;

  const int listing_version_;
  std::vector<Class> classes_;
  std::unordered_map<std::string, int32_t> by_key_;
  std::array<std::unordered_map<std::string, int32_t>, 2> by_name_;
};

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_CLASS_NAMES_H_
