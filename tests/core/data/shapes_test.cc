// The generated data set: repeatable, with classes that colour does not tell apart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>
#include <vector>

#include "core/data/dataset.h"
#include "tests/core/data/testing.h"

namespace vit {
namespace {

std::shared_ptr<const DataSet> OpenShapes(const std::string& source, int side, int train, int val,
                                          uint64_t seed = 0) {
  vit::v1::DataConfig config;
  config.set_source(source);
  config.mutable_shapes()->set_train_size(train);
  config.mutable_shapes()->set_val_size(val);
  config.mutable_shapes()->set_seed(seed);
  DataSetOptions options;
  options.image_size = side;
  return *DataSet::Open(config, options);
}

TEST(ShapesTest, HasTenBalancedClassesAndTheSizesAskedFor) {
  const auto data = OpenShapes("shapes:", 24, 500, 100);
  EXPECT_EQ(data->class_names().size(), 10);
  EXPECT_EQ(data->native_size(), 24);
  EXPECT_EQ(data->size(DataSplit::kTrain), 500);
  EXPECT_EQ(data->size(DataSplit::kValidation), 100);
  std::array<int, 10> counts{};
  for (int i = 0; i < 500; ++i) ++counts[data->label(DataSplit::kTrain, i)];
  EXPECT_THAT(counts, ::testing::Each(50));
  const auto image = data->Load(DataSplit::kTrain, 0, 0);
  ASSERT_TRUE(image.ok());
  EXPECT_EQ(image->width, 24);
  EXPECT_EQ(image->height, 24);
}

TEST(ShapesTest, DefaultSizes) {
  vit::v1::DataConfig config;
  config.set_source("shapes:");
  const auto data = *DataSet::Open(config, {});
  EXPECT_EQ(data->size(DataSplit::kTrain), 20000);
  EXPECT_EQ(data->size(DataSplit::kValidation), 1000);
}

TEST(ShapesTest, ASampleIsAlwaysTheSameAndNoTwoAreEqual) {
  const auto data = OpenShapes("shapes:", 32, 1000, 1000);
  const auto again = OpenShapes("shapes:", 32, 500, 10);
  std::set<std::vector<uint8_t>> seen;
  for (const DataSplit split : {DataSplit::kTrain, DataSplit::kValidation}) {
    for (int i = 0; i < 200; ++i) seen.insert(data->Load(split, i, 0)->rgb);
  }
  EXPECT_EQ(seen.size(), 400);
  for (int i = 199; i >= 0; --i) {
    EXPECT_EQ(
        MaxDifference(*data->Load(DataSplit::kTrain, i, 0), *again->Load(DataSplit::kTrain, i, 0)),
        0);
  }
  const auto other = OpenShapes("shapes:", 32, 1000, 1000, /*seed=*/1);
  EXPECT_NE(
      MaxDifference(*data->Load(DataSplit::kTrain, 0, 0), *other->Load(DataSplit::kTrain, 0, 0)),
      0);
}

TEST(ShapesTest, FingerprintFollowsWhatIsDrawn) {
  std::set<std::string> fingerprints = {OpenShapes("shapes:", 32, 100, 10)->fingerprint(),
                                        OpenShapes("shapes:hard", 32, 100, 10)->fingerprint(),
                                        OpenShapes("shapes:", 33, 100, 10)->fingerprint(),
                                        OpenShapes("shapes:", 32, 101, 10)->fingerprint(),
                                        OpenShapes("shapes:", 32, 100, 11)->fingerprint(),
                                        OpenShapes("shapes:", 32, 100, 10, 1)->fingerprint()};
  EXPECT_EQ(fingerprints.size(), 6);
  EXPECT_EQ(OpenShapes("shapes:", 32, 100, 10)->fingerprint(),
            OpenShapes("shapes:", 32, 100, 10)->fingerprint());
}

// The image itself does not change with its side: a large one, averaged, resembles the small one.
TEST(ShapesTest, DrawsTheSameImageAtAnyResolution) {
  const auto small = OpenShapes("shapes:", 32, 100, 10);
  const auto large = OpenShapes("shapes:", 128, 100, 10);
  for (int i = 0; i < 20; ++i) {
    const Image a = *small->Load(DataSplit::kTrain, i, 0);
    const Image b = *large->Load(DataSplit::kTrain, i, 0);
    double difference = 0;
    for (int y = 0; y < 32; ++y) {
      for (int x = 0; x < 32; ++x) {
        for (int c = 0; c < 3; ++c) {
          double mean = 0;
          for (int k = 0; k < 16; ++k) {
            mean += b.rgb[3 * (128 * (4 * y + k / 4) + 4 * x + k % 4) + c] / 16.0;
          }
          difference += std::fabs(mean - a.rgb[3 * (32 * y + x) + c]) / (3 * 32 * 32);
        }
      }
    }
    EXPECT_LT(difference, 9) << i;  // noise alone is up to 7 on average
  }
}

constexpr int kBins = 8;
using Histogram = std::array<double, 3 * kBins>;

Histogram ColourHistogram(const Image& image) {
  Histogram histogram{};
  for (size_t i = 0; i < image.rgb.size(); ++i) {
    histogram[i % 3 * kBins + image.rgb[i] * kBins / 256] += 3.0 / image.rgb.size();
  }
  return histogram;
}

double SquaredDistance(const Histogram& a, const Histogram& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

class ColourTest : public ::testing::TestWithParam<const char*> {
 protected:
  static constexpr int kTrain = 3000;
  static constexpr double kPerClass = 300;
  static constexpr int kVal = 500;
  ColourTest() : data_(OpenShapes(GetParam(), 32, kTrain, kVal)) {
    for (int i = 0; i < kTrain; ++i) {
      train_.push_back(ColourHistogram(*data_->Load(DataSplit::kTrain, i, 0)));
    }
    for (int i = 0; i < kVal; ++i) {
      val_.push_back(ColourHistogram(*data_->Load(DataSplit::kValidation, i, 0)));
    }
  }
  // Accuracy of giving each validation image the label of the nearest of `points`.
  double Accuracy(const std::vector<Histogram>& points, const std::vector<int64_t>& labels) {
    int right = 0;
    for (int i = 0; i < kVal; ++i) {
      double least = std::numeric_limits<double>::max();
      int64_t guess = 0;
      for (size_t k = 0; k < points.size(); ++k) {
        const double distance = SquaredDistance(val_[i], points[k]);
        if (distance < least) {
          least = distance;
          guess = labels[k];
        }
      }
      right += guess == data_->label(DataSplit::kValidation, i);
    }
    return static_cast<double>(right) / kVal;
  }

  std::shared_ptr<const DataSet> data_;
  std::vector<Histogram> train_, val_;
};

TEST_P(ColourTest, NearestHistogramDoesNotTellTheShape) {
  std::vector<int64_t> labels(kTrain);
  for (int i = 0; i < kTrain; ++i) labels[i] = data_->label(DataSplit::kTrain, i);
  EXPECT_LT(Accuracy(train_, labels), 0.5);
  RecordProperty("accuracy", std::to_string(Accuracy(train_, labels)));
}

TEST_P(ColourTest, NearestMeanHistogramDoesNotTellTheShape) {
  std::vector<Histogram> means(10);
  std::vector<int64_t> labels = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  for (int i = 0; i < kTrain; ++i) {
    Histogram& mean = means[data_->label(DataSplit::kTrain, i)];
    for (size_t k = 0; k < mean.size(); ++k) mean[k] += train_[i][k] / kPerClass;
  }
  EXPECT_LT(Accuracy(means, labels), 0.5);
}
INSTANTIATE_TEST_SUITE_P(Variants, ColourTest, ::testing::Values("shapes:", "shapes:hard"),
                         [](const auto& info) {
                           return std::string(info.param) == "shapes:" ? "plain" : "hard";
                         });

// Shape does tell them apart: the mean image of a class, thresholded by brightness, is nearer to
// its own class than colour is.
TEST(ShapesTest, ClassesDifferInShape) {
  constexpr int kSide = 32, kTrain = 3000, kVal = 500;
  constexpr double kPerClass = 300;
  const auto data = OpenShapes("shapes:", kSide, kTrain, kVal);
  const auto mask = [&](DataSplit split, int index) {
    const Image image = *data->Load(split, index, 0);
    std::vector<double> inside(kSide * kSide);
    for (size_t i = 0; i < inside.size(); ++i) {
      inside[i] = image.rgb[3 * i] + image.rgb[3 * i + 1] + image.rgb[3 * i + 2] > 345;
    }
    return inside;
  };
  std::vector<std::vector<double>> means(10, std::vector<double>(kSide * kSide));
  for (int i = 0; i < kTrain; ++i) {
    const auto inside = mask(DataSplit::kTrain, i);
    auto& mean = means[data->label(DataSplit::kTrain, i)];
    for (size_t k = 0; k < mean.size(); ++k) mean[k] += inside[k] / kPerClass;
  }
  int right = 0;
  for (int i = 0; i < kVal; ++i) {
    const auto inside = mask(DataSplit::kValidation, i);
    std::array<double, 10> distances{};
    for (int c = 0; c < 10; ++c) {
      for (size_t k = 0; k < inside.size(); ++k) {
        distances[c] += (inside[k] - means[c][k]) * (inside[k] - means[c][k]);
      }
    }
    right += std::min_element(distances.begin(), distances.end()) - distances.begin() ==
             data->label(DataSplit::kValidation, i);
  }
  EXPECT_GT(right, kVal * 6 / 10);
}

}  // namespace
}  // namespace vit
