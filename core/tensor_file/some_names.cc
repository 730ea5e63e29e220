#include "core/tensor_file/some_names.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace vit {

std::string SomeNames(const std::vector<std::string>& names) {
  constexpr size_t kMaxNames = 5;
  const size_t shown = std::min(names.size(), kMaxNames);
  return absl::StrCat(
      absl::StrJoin(names.begin(), names.begin() + shown, ", "),
      names.size() > shown ? absl::StrCat(" and ", names.size() - shown, " more") : "");
}

}  // namespace vit
