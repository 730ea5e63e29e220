#include "core/data/sources/class_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vit {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kComposed[] = "Caf\xC3\xA9";
constexpr char kDecomposed[] = "Cafe\xCC\x81";

class ClassTableTest : public ::testing::Test {
 protected:
  absl::StatusOr<int32_t> Add(DataSplit split, absl::string_view name) {
    return table_.Add(split, name, [&] { return "place " + std::to_string(++places_); });
  }
  std::string AddError(absl::string_view name) {
    const absl::Status status = Add(DataSplit::kTrain, name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  }

  ClassTable table_{2};
  int places_ = 0;
};

TEST(OrderClassNamesTest, ByNumberWhereAllAreNumbers) {
  EXPECT_THAT(OrderClassNames({"10", "9", "0", "2", "9"}), ElementsAre("0", "2", "9", "10"));
  EXPECT_THAT(OrderClassNames({"10", "009", "0", "02"}), ElementsAre("0", "02", "009", "10"));
  EXPECT_THAT(OrderClassNames({"1", "01", "00", "0", "001"}),
              ElementsAre("0", "00", "001", "01", "1"));
  EXPECT_THAT(OrderClassNames({"184467440737095516170", "9", "18446744073709551616"}),
              ElementsAre("9", "18446744073709551616", "184467440737095516170"));
  EXPECT_THAT(OrderClassNames({"10", "9", "x"}), ElementsAre("10", "9", "x"));
  EXPECT_THAT(OrderClassNames({"10", "9", "-1", "-20", "0"}),
              ElementsAre("-20", "-1", "0", "9", "10"));
  EXPECT_THAT(OrderClassNames({"10.0", "2.0", "1.0"}), ElementsAre("1.0", "2.0", "10.0"));
  EXPECT_THAT(OrderClassNames({"10", "2.25", "2.3", "-0.5"}),
              ElementsAre("-0.5", "2.25", "2.3", "10"));
  EXPECT_THAT(OrderClassNames({"10", "9", "1.", "-"}), ElementsAre("-", "1.", "10", "9"));
}

TEST(NormalizeClassNameTest, ComposesAndTrims) {
  EXPECT_EQ(NormalizeClassName(kDecomposed), kComposed);
  EXPECT_EQ(NormalizeClassName(" tabby cat\t"), "tabby cat");
  EXPECT_EQ(NormalizeClassName("\xC2\xA0new\xC2\xA0york\xE2\x80\x8B"), "new\xC2\xA0york");
  for (const char* none : {"", "  ", "\xC2\xA0", "a\tb", "K\344fer"}) {
    EXPECT_EQ(NormalizeClassName(none), "") << none;
  }
}

TEST_F(ClassTableTest, NamesThatReadTheSameAreOneClassAcrossSplits) {
  EXPECT_EQ(*Add(DataSplit::kValidation, kDecomposed), 0);
  EXPECT_EQ(*Add(DataSplit::kTrain, "new york"), 1);
  EXPECT_EQ(*Add(DataSplit::kTrain, kComposed), 0);
  EXPECT_EQ(*Add(DataSplit::kValidation, "new\xC2\xA0york "), 1);
  const auto order = table_.Finish();
  ASSERT_TRUE(order.ok()) << order.status();
  EXPECT_THAT(order->names, ElementsAre(kComposed, "new york"));
  EXPECT_THAT(order->labels, ElementsAre(0, 1));
}

TEST_F(ClassTableTest, NamesOfOneSplitThatCannotBeToldApartAreAnError) {
  ASSERT_TRUE(Add(DataSplit::kTrain, kComposed).ok());
  EXPECT_TRUE(Add(DataSplit::kTrain, kComposed).ok());
  EXPECT_THAT(AddError(kDecomposed),
              AllOf(HasSubstr("'Caf\\303\\251' (place 1)"), HasSubstr("'Cafe\\314\\201' (place"),
                    HasSubstr("look the same")));
  ASSERT_TRUE(Add(DataSplit::kTrain, "dog").ok());
  for (const char* alike : {"dog ", " dog",
                            "d\xE2\x80\x8B"
                            "og",
                            "dog\xC2\xA0"}) {
    EXPECT_THAT(AddError(alike), HasSubstr("look the same")) << alike;
  }
  // These look different.
  for (const char* other : {"Dog", "dogs", "d og", "Cafe",
                            "d\xC3\xB6"
                            "g"}) {
    EXPECT_TRUE(Add(DataSplit::kTrain, other).ok()) << other;
  }
}

TEST_F(ClassTableTest, AClassOfValidationAloneIsAnErrorThatNamesItsPlace) {
  ASSERT_TRUE(Add(DataSplit::kTrain, "cat").ok());
  ASSERT_TRUE(Add(DataSplit::kValidation, "dog").ok());
  EXPECT_EQ(table_.Finish().status().message(), "place 2: no training image has the class 'dog'");
}

}  // namespace
}  // namespace vit
