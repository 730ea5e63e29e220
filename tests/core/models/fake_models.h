// Models that a test makes up.
#ifndef VIT_TESTS_CORE_MODELS_FAKE_MODELS_H_
#define VIT_TESTS_CORE_MODELS_FAKE_MODELS_H_

#include <filesystem>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/models/servable_model.h"

namespace vit {

// Version 1 of each model is a directory; there are no runs.
class FakeModels : public ModelSource {
 public:
  void Add(const std::string& name, const std::filesystem::path& directory) {
    directories_[name] = directory;
  }
  void Clear() { directories_.clear(); }

  absl::StatusOr<ServableModel> Find(const ModelRef& ref) override {
    const auto found = directories_.find(ref.name);
    if (found == directories_.end() || ref.number > 1) {
      return absl::NotFoundError(absl::StrCat("no model '", ref.name, "'"));
    }
    return ServableModel{
        .ref = ModelRef::Model(ref.name, 1), .name = ref.name, .directory = found->second};
  }

 private:
  std::map<std::string, std::filesystem::path> directories_;
};

}  // namespace vit

#endif  // VIT_TESTS_CORE_MODELS_FAKE_MODELS_H_
