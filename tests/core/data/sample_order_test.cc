#include "core/data/loader/sample_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "core/base/random.h"

namespace vit {
namespace {

// Samples of given labels, without images.
class Labels : public DataSet {
 public:
  // `counts`: samples of each class.
  explicit Labels(const std::vector<int>& counts)
      : DataSet({.class_names = std::vector<std::string>(counts.size(), "class")}) {
    for (size_t label = 0; label < counts.size(); ++label) {
      labels_.insert(labels_.end(), counts[label], static_cast<int64_t>(label));
    }
  }
  int64_t size(DataSplit) const override { return static_cast<int64_t>(labels_.size()); }
  int64_t label(DataSplit, int64_t index) const override { return labels_[index]; }
  std::string name(DataSplit, int64_t index) const override { return std::to_string(index); }
  absl::StatusOr<ImagePart> LoadPart(DataSplit, int64_t, const PixelRequest&) const override {
    return absl::UnimplementedError("has no images");
  }

 private:
  std::vector<int64_t> labels_;
};

vit::v1::DataConfig Balanced(double power) {
  vit::v1::DataConfig config;
  config.set_sampler(vit::v1::SAMPLER_CLASS_BALANCED);
  config.set_sampler_power(power);
  return config;
}

// How many draws of `epochs` epochs are of each class.
std::vector<int> Drawn(const DataSet& data, const vit::v1::DataConfig& config, int epochs) {
  const SampleOrder order(data, config);
  std::vector<int> drawn(data.class_names().size());
  for (int epoch = 0; epoch < epochs; ++epoch) {
    for (const SampleDraw& draw : order.Epoch(/*seed=*/3, epoch)) {
      ++drawn[data.label(DataSplit::kTrain, draw.index)];
    }
  }
  return drawn;
}

TEST(SampleOrderTest, UniformIsAShuffleOfEverySample) {
  vit::v1::DataConfig config;
  config.set_sampler(vit::v1::SAMPLER_UNIFORM);
  const Labels data({30, 5});
  const std::vector<SampleDraw> order = SampleOrder(data, config).Epoch(7, 2);
  const std::vector<int64_t> expected = ShuffledIndices(7, 2, 35);
  ASSERT_EQ(order.size(), expected.size());
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], (SampleDraw{expected[i], 0}));
}

TEST(SampleOrderTest, BalancedDrawsEveryClassEquallyOften) {
  const Labels data({900, 90, 10});
  const std::vector<int> drawn = Drawn(data, Balanced(1), 30);
  // 30000 draws: 10000 each, standard deviation 82.
  for (const int count : drawn) EXPECT_NEAR(count, 10000, 5 * 82);
}

TEST(SampleOrderTest, PowerLeadsFromOwnFrequenciesToEqualOnesAndBeyond) {
  const Labels data({900, 90, 10});
  for (const double power : {0.0, 0.5, 2.0}) {
    std::vector<double> weights;
    double total = 0;
    for (const double n : {900, 90, 10}) total += weights.emplace_back(std::pow(n, 1 - power));
    const std::vector<int> drawn = Drawn(data, Balanced(power), 30);
    for (int label = 0; label < 3; ++label) {
      const double p = weights[label] / total;
      EXPECT_NEAR(drawn[label], 30000 * p, 5 * std::sqrt(30000 * p * (1 - p)))
          << "power " << power << ", class " << label;
    }
  }
}

TEST(SampleOrderTest, BalancedDrawsTheSamplesOfAClassEquallyOften) {
  const Labels data({95, 5});
  const SampleOrder order(data, Balanced(1));
  std::map<int64_t, int> drawn;
  for (int epoch = 0; epoch < 100; ++epoch) {
    for (const SampleDraw& draw : order.Epoch(1, epoch)) ++drawn[draw.index];
  }
  EXPECT_EQ(drawn.size(), 100);
  for (int i = 95; i < 100; ++i) EXPECT_NEAR(drawn[i], 1000, 5 * 30);  // 10000 draws at p = 0.1
}

TEST(SampleOrderTest, EveryPlaceOfAnEpochIsADrawOfItsOwn) {
  const Labels data({995, 5});
  const SampleOrder order(data, Balanced(1));
  const std::vector<SampleDraw> epoch = order.Epoch(1, 0);
  EXPECT_EQ(epoch.size(), 1000);
  std::set<std::pair<int64_t, int64_t>> seen;
  std::map<int64_t, int64_t> next_copy;
  for (const SampleDraw& draw : epoch) {
    EXPECT_TRUE(seen.emplace(draw.index, draw.copy).second);
    EXPECT_EQ(draw.copy, next_copy[draw.index]++);
  }
  EXPECT_GT(next_copy[999], 50);
}

TEST(SampleOrderTest, RepeatsStandInARowAndAreDrawsOfTheirOwn) {
  const Labels data({40, 5});
  for (const auto sampler : {vit::v1::SAMPLER_UNIFORM, vit::v1::SAMPLER_CLASS_BALANCED}) {
    vit::v1::DataConfig config = Balanced(1);
    config.set_sampler(sampler);
    const std::vector<SampleDraw> once = SampleOrder(data, config).Epoch(7, 2);
    config.set_repeats(4);
    const std::vector<SampleDraw> repeated = SampleOrder(data, config).Epoch(7, 2);
    ASSERT_EQ(repeated.size(), 45);
    std::set<std::pair<int64_t, int64_t>> seen;
    for (size_t i = 0; i < repeated.size(); ++i) {
      EXPECT_EQ(repeated[i].index, once[i / 4].index);
      EXPECT_TRUE(seen.emplace(repeated[i].index, repeated[i].copy).second);
    }
  }
}

TEST(SampleOrderTest, OrderIsAFunctionOfSeedAndEpoch) {
  const Labels data({40, 4});
  const SampleOrder order(data, Balanced(1));
  EXPECT_EQ(order.Epoch(1, 5), SampleOrder(data, Balanced(1)).Epoch(1, 5));
  EXPECT_NE(order.Epoch(1, 5), order.Epoch(1, 6));
  EXPECT_NE(order.Epoch(1, 5), order.Epoch(2, 5));
}

TEST(SampleOrderTest, ClassesWithoutSamplesAreNeverDrawn) {
  const Labels data({0, 20, 0, 5, 0});
  const std::vector<int> drawn = Drawn(data, Balanced(2), 4);
  EXPECT_EQ(drawn[0] + drawn[2] + drawn[4], 0);
  EXPECT_EQ(drawn[1] + drawn[3], 100);
}

}  // namespace
}  // namespace vit
