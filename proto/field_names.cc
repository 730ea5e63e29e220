#include "proto/field_names.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace vit {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::EnumDescriptor;
using ::google::protobuf::EnumValueDescriptor;
using ::google::protobuf::FieldDescriptor;

int EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int substitution = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitution});
    }
  }
  return row.back();
}

// Returns whether `name` is short for `field`: its first words, or its words' initials.
bool Abbreviates(absl::string_view name, absl::string_view field) {
  if (name.size() < field.size() && absl::StartsWith(field, name) &&
      !absl::ascii_isalpha(field[name.size()])) {
    return true;
  }
  std::string initials;
  for (const absl::string_view word : absl::StrSplit(field, '_', absl::SkipEmpty())) {
    initials.push_back(word[0]);
  }
  return name.size() >= 2 && name == initials;
}

// Every field below `type` by its path, so that a field in the wrong place is found too.
void CollectPaths(const Descriptor* type, const std::string& prefix,
                  std::vector<std::string>* paths) {
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    const std::string path = absl::StrCat(prefix, field->name());
    paths->push_back(path);
    if (field->message_type() != nullptr && !field->is_repeated() &&
        absl::StrContains(field->message_type()->full_name(), "vit.")) {
      CollectPaths(field->message_type(), path + ".", paths);
    }
  }
}

}  // namespace

std::string ShortEnumName(const EnumValueDescriptor* value) {
  // The prefix is the enumeration's name in capitals, words joined by underscores: the zero value
  // less "UNSPECIFIED".
  const std::string prefix(absl::StripSuffix(value->type()->value(0)->name(), "UNSPECIFIED"));
  return absl::AsciiStrToLower(absl::StripPrefix(value->name(), prefix));
}

std::string NearestName(absl::string_view name, const std::vector<std::string>& candidates) {
  std::string best;
  int best_distance = static_cast<int>(std::max<size_t>(2, name.size() / 3)) + 1;
  for (const std::string& candidate : candidates) {
    const int distance = EditDistance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string ValueNames(const EnumDescriptor* type) {
  std::vector<std::string> names;
  for (int i = 1; i < type->value_count(); ++i) names.push_back(ShortEnumName(type->value(i)));
  return absl::StrJoin(names, ", ");
}

std::vector<std::string> FieldNames(const Descriptor* type) {
  std::vector<std::string> names;
  names.reserve(type->field_count());
  for (int i = 0; i < type->field_count(); ++i) names.push_back(type->field(i)->name());
  return names;
}

std::vector<std::string> FieldPaths(const Descriptor* type) {
  std::vector<std::string> paths;
  CollectPaths(type, "", &paths);
  return paths;
}

std::vector<std::string> FieldsMeant(const Descriptor* type, absl::string_view name) {
  std::vector<std::string> meant;
  for (const std::string& field : FieldNames(type)) {
    if (Abbreviates(name, field)) meant.push_back(field);
  }
  if (!meant.empty()) return meant;
  if (const std::string nearest = NearestName(name, FieldNames(type)); !nearest.empty()) {
    return {nearest};
  }
  std::vector<std::string> abbreviated;
  for (const std::string& path : FieldPaths(type)) {
    const absl::string_view leaf = absl::string_view(path).substr(path.rfind('.') + 1);
    if (leaf == name) meant.push_back(path);
    if (Abbreviates(name, leaf)) abbreviated.push_back(path);
  }
  return meant.empty() ? abbreviated : meant;
}

std::string DidYouMean(const std::vector<std::string>& names) {
  return absl::StrCat("; did you mean '", absl::StrJoin(names, "' or '"), "'?");
}

std::string SuggestField(const Descriptor* type, absl::string_view name) {
  const std::vector<std::string> meant = FieldsMeant(type, name);
  if (!meant.empty()) return DidYouMean(meant);
  return absl::StrCat("; known: ", absl::StrJoin(FieldNames(type), ", "));
}

}  // namespace vit
