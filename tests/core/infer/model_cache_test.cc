#include "core/infer/model_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <thread>

#include "tests/core/infer/testing.h"

namespace vit {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using Loaded = absl::StatusOr<std::shared_ptr<const FrozenModel>>;

class ModelCacheTest : public ::testing::Test {
 protected:
  Loaded Get(ModelCache& cache, const std::string& model) {
    std::promise<Loaded> promise;
    cache.Get(*checkpoints_.FindModel(model),
              [&](Loaded loaded) { promise.set_value(std::move(loaded)); });
    return promise.get_future().get();
  }
  // Asks until the newer model has replaced the older one; every answer in between must be one of
  // the two.
  void AwaitStep(ModelCache& cache, const std::string& model, int64_t step) {
    while (true) {
      const Loaded loaded = Get(cache, model);
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      if ((*loaded)->version() == step) return;
      std::this_thread::yield();
    }
  }
  TestCheckpoints checkpoints_;
  FakeClock clock_;
};

TEST_F(ModelCacheTest, AnOlderCheckpointAnswersUntilTheNewerIsLoaded) {
  ModelCache cache({.clock = &clock_});
  checkpoints_.Serve("a", 1);
  EXPECT_EQ((*Get(cache, "run:a"))->version(), 1);
  checkpoints_.Serve("a", 2);
  AwaitStep(cache, "run:a", 2);
  // The old one releases its files a moment after the new one is there.
  while (checkpoints_.leases() != 1) std::this_thread::yield();
}

TEST_F(ModelCacheTest, OnlyTheLastUsedModelsStay) {
  ModelCache cache({.max_loaded_models = 2, .clock = &clock_});
  for (const char* run : {"a", "b", "c"}) checkpoints_.Serve(run, 1);
  ASSERT_TRUE(Get(cache, "run:a").ok());
  ASSERT_TRUE(Get(cache, "run:b").ok());
  ASSERT_TRUE(Get(cache, "run:a").ok());
  ASSERT_TRUE(Get(cache, "run:c").ok());
  EXPECT_EQ(checkpoints_.leases(), 2);
  // The files of a model that was dropped are read again.
  std::filesystem::remove(checkpoints_.Directory("a", 1) / "model.safetensors");
  std::filesystem::remove(checkpoints_.Directory("b", 1) / "model.safetensors");
  EXPECT_TRUE(Get(cache, "run:a").ok());
  EXPECT_FALSE(Get(cache, "run:b").ok());
}

TEST_F(ModelCacheTest, AnUnloadedModelLetsGoOfItsFiles) {
  ModelCache cache({.clock = &clock_});
  checkpoints_.Serve("a", 1);
  checkpoints_.Serve("b", 1);
  ASSERT_TRUE(Get(cache, "run:a").ok());
  ASSERT_TRUE(Get(cache, "run:b").ok());
  cache.Unload("run:a");
  EXPECT_EQ(checkpoints_.leases(), 1);
  // One that is being loaded is dropped too; its waiting callers get it.
  checkpoints_.Serve("c", 1);
  std::promise<Loaded> promise;
  cache.Get(*checkpoints_.FindModel("run:c"),
            [&](Loaded loaded) { promise.set_value(std::move(loaded)); });
  cache.Unload("run:c");
  EXPECT_TRUE(promise.get_future().get().ok());
  while (checkpoints_.leases() != 1) std::this_thread::yield();
}

TEST_F(ModelCacheTest, UnloadingARunDropsAllItsSteps) {
  ModelCache cache({.clock = &clock_});
  checkpoints_.Serve("a", 1);
  checkpoints_.Serve("ab", 1);
  ASSERT_TRUE(Get(cache, "run:a").ok());
  ASSERT_TRUE(Get(cache, "run:a@1").ok());
  ASSERT_TRUE(Get(cache, "run:ab").ok());
  cache.UnloadRun("a");
  EXPECT_THAT(cache.Loaded(), ElementsAre(Pair("run:ab", 1)));
  EXPECT_EQ(checkpoints_.leases(), 1);
}

TEST_F(ModelCacheTest, ADamagedCheckpointFailsItsCallersAndIsTriedAgainLater) {
  ModelCache cache({.clock = &clock_});
  checkpoints_.Serve("a", 1);
  std::ofstream(checkpoints_.Directory("a", 1) / "model.safetensors") << "x";
  EXPECT_EQ(Get(cache, "run:a").status().code(), absl::StatusCode::kDataLoss);
  WriteModel(checkpoints_.Directory("a", 1), 1);
  EXPECT_EQ(Get(cache, "run:a").status().code(), absl::StatusCode::kUnavailable)
      << "not tried at every call";
  clock_.Advance(absl::Minutes(1));
  EXPECT_TRUE(Get(cache, "run:a").ok());
}

TEST_F(ModelCacheTest, ADamagedNewerCheckpointLeavesTheOlderAnswering) {
  ModelCache cache({.clock = &clock_});
  checkpoints_.Serve("a", 1);
  ASSERT_TRUE(Get(cache, "run:a").ok());
  checkpoints_.Serve("a", 2);
  std::filesystem::remove(checkpoints_.Directory("a", 2) / "config.json");
  for (int i = 0; i < 20; ++i) {
    const Loaded loaded = Get(cache, "run:a");
    ASSERT_TRUE(loaded.ok());
    EXPECT_EQ((*loaded)->version(), 1);
  }
}

}  // namespace
}  // namespace vit
