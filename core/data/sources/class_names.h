// Names of classes: which of them are the same, and the order of the classes.
#ifndef VIT_CORE_DATA_SOURCES_CLASS_NAMES_H_
#define VIT_CORE_DATA_SOURCES_CLASS_NAMES_H_

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/data/per_split.h"

namespace vit {

// Returns `name` as it is shown and stored: in Unicode's composed form (NFC), without white space
// and zero-width spaces around it. Empty if nothing is left, or if it is not UTF-8 or contains
// control characters.
std::string NormalizeClassName(absl::string_view name);

// Returns class names in class order, each once: by number if all are numbers ("007", "-1", "2.50";
// equal numbers by bytes), otherwise by bytes. In listing version 1, only digits without
// superfluous leading zeros are a number.
std::vector<std::string> OrderClassNames(std::vector<std::string> names, int listing_version = 2);

// The classes of a source, collected name by name.
//
// In listing version 2, names are the same class if they are equal after NormalizeClassName,
// without invisible (default ignorable) characters, and with all kinds of spaces treated as one.
// The two splits may spell a name differently; within a split that is an error. In version 1, names
// are compared byte by byte.
class ClassTable {
 public:
  explicit ClassTable(int listing_version) : listing_version_(listing_version) {}

  // Returns the number of the class `name` of a sample in `split`, in order of first appearance.
  // `place` says where the name was found, for messages. INVALID_ARGUMENT for a name that is not
  // text, or that looks the same as another name of the same split.
  absl::StatusOr<int32_t> Add(DataSplit split, absl::string_view name,
                              absl::FunctionRef<std::string()> place);

  struct Order {
    std::vector<std::string> names;  // in class order
    std::vector<int32_t> labels;     // by the number that Add returned
  };
  // Returns the classes of the training split. INVALID_ARGUMENT if only the other split has a
  // class.
  absl::StatusOr<Order> Finish() const;

 private:
  struct Spelling {
    std::string name;  // as the source has it
    std::string place;
  };
  struct Class {
    PerSplit<Spelling> spellings;  // empty if not found
  };

  std::string Key(absl::string_view name) const;
  std::string Shown(const Spelling& spelling) const;

  const int listing_version_;
  std::vector<Class> classes_;
  std::unordered_map<std::string, int32_t> by_key_;
  PerSplit<std::unordered_map<std::string, int32_t>> by_name_;
};

// Puts the classes of `samples`, whose labels are numbers from `classes`, in order and returns
// their names.
template <typename Sample>
absl::StatusOr<std::vector<std::string>> OrderClasses(const ClassTable& classes,
                                                      PerSplit<std::vector<Sample>>* samples) {
  absl::StatusOr<ClassTable::Order> order = classes.Finish();
  if (!order.ok()) return order.status();
  for (const DataSplit split : kDataSplits) {
    for (Sample& sample : (*samples)[split]) sample.label = order->labels[sample.label];
  }
  return std::move(order->names);
}

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_CLASS_NAMES_H_
