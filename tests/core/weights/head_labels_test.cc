#include "core/weights/head_labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "core/base/compute/named_tensors.h"

namespace vit {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class HeadLabelsTest : public ::testing::Test {
 protected:
  void Match(const std::vector<std::string>& weights, const std::vector<std::string>& model) {
    MatchHead({.weights = weights, .model = model}, &tensors_, &notes_);
  }
  std::vector<double> Values(const std::string& name) {
    std::vector<double> values;
    for (int64_t i = 0; i < tensors_.at(name).numel(); ++i) {
      values.push_back(tensors_.at(name).flatten()[i].item<double>());
    }
    return values;
  }

  TensorMap tensors_ = {{"head.weight", at::tensor({0., 1., 2.}).view({3, 1})},
                        {"head.bias", at::tensor({10., 11., 12.})},
                        {"head_dist.weight", at::tensor({20., 21., 22.}).view({3, 1})},
                        {"norm.weight", at::tensor({30., 31., 32.})}};
  std::vector<std::string> notes_;
};

TEST_F(HeadLabelsTest, RowsFollowTheirLabels) {
  Match({"cat", "dog", "owl"}, {"owl", "cat", "dog"});
  EXPECT_THAT(Values("head.weight"), ElementsAre(2, 0, 1));
  EXPECT_THAT(Values("head.bias"), ElementsAre(12, 10, 11));
  EXPECT_THAT(Values("head_dist.weight"), ElementsAre(22, 20, 21));
  EXPECT_THAT(Values("norm.weight"), ElementsAre(30, 31, 32));
  EXPECT_THAT(notes_, ElementsAre("the head's rows are put into the data's order of classes"));
}

TEST_F(HeadLabelsTest, OtherLabelsStartAnewAndAreNamed) {
  Match({"cat", "dog", "owl"}, {"owl", "cat", "cow"});
  EXPECT_EQ(tensors_.size(), 1u);
  EXPECT_THAT(notes_, ElementsAre("the head is new: the weights' classes are cat, dog, owl, "
                                  "the data's are owl, cat, cow"));
}

TEST_F(HeadLabelsTest, LabelsThatAreMetTwiceCannotBeMatched) {
  Match({"crane", "crane", "owl"}, {"owl", "crane", "crane"});
  EXPECT_FALSE(tensors_.contains("head.weight"));
}

TEST_F(HeadLabelsTest, NothingHappensInTheSameOrderOrWithoutLabels) {
  Match({"cat", "dog", "owl"}, {"cat", "dog", "owl"});
  Match({}, {"owl", "cat", "dog"});
  EXPECT_THAT(Values("head.weight"), ElementsAre(0, 1, 2));
  EXPECT_THAT(notes_, IsEmpty());
}

TEST(AreNamesTest, NumbersInTheirPlaceAreNone) {
  EXPECT_FALSE(AreNames({"0", "1", "2"}));
  EXPECT_FALSE(AreNames({"LABEL_0", "LABEL_1"}));
  EXPECT_FALSE(AreNames({}));
  EXPECT_TRUE(AreNames({"1", "0"}));
  EXPECT_TRUE(AreNames({"cat", "dog"}));
}

}  // namespace
}  // namespace vit
