// Shared by the tests of core/infer: small checkpoints on disk.
#ifndef VIT_TESTS_CORE_INFER_TESTING_H_
#define VIT_TESTS_CORE_INFER_TESTING_H_

#include <map>
#include <string>
#include <vector>

#include "core/base/mutex.h"
#include "core/infer/inference_engine.h"
#include "tests/core/data/testing.h"

namespace vit {

// The classes of every model made here.
inline const std::vector<std::string> kLabels = {"cat", "dog", "owl"};

// Writes a model directory of a tiny ViT (16 x 16, three classes), its weights drawn from `seed`.
void WriteModel(const std::filesystem::path& directory, uint64_t seed);

// Returns the probabilities of `image` by the model of WriteModel(seed), computed by the model's
// own forward.
std::vector<float> ExpectedProbabilities(uint64_t seed, const Image& image);

// Checkpoints of runs, each step a model whose seed is the step. Thread-safe.
class TestCheckpoints : public ModelSource {
 public:
  absl::StatusOr<ServableModel> Find(const ModelRef& ref) override;
  absl::StatusOr<ServableModel> FindModel(const std::string& text) {
    return Find(*ModelRef::Parse(text));
  }

  // Lets `run` serve `step` from now on.
  void Serve(const std::string& run, int64_t step);
  // Returns how many leases are held at the moment.
  int leases() const { return static_cast<int>(lease_.use_count()) - 1; }
  std::filesystem::path Directory(const std::string& run, int64_t step) const;

 private:
  TemporaryFolder folder_;
  std::shared_ptr<int> lease_ = std::make_shared<int>();
  Mutex mu_;
  std::map<std::string, int64_t> serving_ VIT_GUARDED_BY(mu_);
};

}  // namespace vit

#endif  // VIT_TESTS_CORE_INFER_TESTING_H_
