#include "proto/spec_text.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "proto/field_names.h"
#include "proto/set_field.h"
#include "vit/v1/training.pb.h"

namespace vit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::vit::v1::TrainingSpec;

TEST(SpecTextTest, ReadsTextFormatAndJson) {
  TrainingSpec text, json;
  ASSERT_TRUE(ParseMessageText("batch_size: 64 model { embed_dim: 96 }", &text).ok());
  ASSERT_TRUE(ParseMessageText(R"( {"batch_size": 64, "model": {"embed_dim": 96}})", &json).ok());
  EXPECT_EQ(text.batch_size(), 64);
  EXPECT_EQ(text.model().embed_dim(), 96);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(text, json));
}

TEST(SpecTextTest, WhatIsWrittenComesBack) {
  TrainingSpec spec, back;
  spec.set_batch_size(0);  // set to zero is not unset
  spec.mutable_optimizer()->set_learning_rate(0.1 + 0.2);
  spec.mutable_data()->add_mean(0.485);
  spec.mutable_data()->set_source("folder:/data/\"pets\"");
  ASSERT_TRUE(ParseMessageText(MessageToText(spec), &back).ok());
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(spec, back));
  EXPECT_TRUE(back.has_batch_size());
}

struct BadText {
  const char* text;
  const char* message;
};

TEST(SpecTextTest, AnUnknownFieldNamesItsPlaceAndTheNearestField) {
  for (const BadText& bad : {
           BadText{"batch_size: 4\nbatchsize: 8",
                   "line 2, column 10: TrainingSpec has no field 'batchsize'; did you mean "
                   "'batch_size'?"},
           BadText{"optimizer { learning_rte: 1 }",
                   "OptimizerConfig has no field 'learning_rte'; did you mean 'learning_rate'?"},
           BadText{"learning_rate: 1", "did you mean 'optimizer.learning_rate'?"},
           BadText{"batch_size: x", "line 1, column 13: batch_size: Expected integer, got: x"},
           BadText{"init: 'run:a' epochs: 1\n\tbatch_size :\tx", ": batch_size: Expected integer"},
           BadText{"data { mean: [0.1,\n 0.2, x] }", "line 2, column 7: mean: Expected double"},
           BadText{"optimizer: 3", "optimizer: Expected \"{\""},
           BadText{"init: 'run:a' ]", "line 1, column 15: Expected identifier"},
           BadText{"optimizer { type: ADAMM }", "ADAMM"},
           BadText{R"({"batchsize": 8})", "no field 'batchsize'; did you mean 'batch_size'?"},
           BadText{R"({"optimizer": {"learning_rte": 1}})",
                   "no field 'optimizer.learning_rte'; did you mean 'learning_rate'?"},
           BadText{R"({"epochs": "x"})", "epochs: \"x\" is not a number"},
           BadText{R"({"optimizer": {"beta1": "x"}})", "optimizer.beta1: \"x\" is not a number"},
           BadText{R"({"batch_size": 1.5})", "batch_size: 1.5 is not an integer"},
           BadText{R"({"batch_size": })", "Unexpected token"},
       }) {
    TrainingSpec spec;
    const absl::Status status = ParseMessageText(bad.text, &spec);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.message));
    EXPECT_FALSE(spec.has_batch_size()) << "nothing of a bad text is taken";
  }
}

TEST(SpecTextTest, StoredTextOfAnotherVersionLoads) {
  TrainingSpec spec;
  ASSERT_TRUE(ParseStoredMessageText(
                  "batch_size: 4 field_of_tomorrow: 3 nested_of_tomorrow { a: 1 }", &spec)
                  .ok());
  EXPECT_EQ(spec.batch_size(), 4);
}

TEST(SpecTextTest, AnEnumerationWithoutAMeaningNamesItsValues) {
  TrainingSpec spec;
  EXPECT_TRUE(CheckEnums(spec).ok());
  spec.mutable_optimizer()->set_type(vit::v1::OPTIMIZER_TYPE_SGD);
  spec.mutable_data()->mutable_train()->set_crop(vit::v1::TRAIN_CROP_RANDOM);
  EXPECT_TRUE(CheckEnums(spec).ok());
  spec.mutable_optimizer()->set_type(vit::v1::OPTIMIZER_TYPE_UNSPECIFIED);
  EXPECT_THAT(std::string(CheckEnums(spec).message()),
              HasSubstr("optimizer.type is unspecified; expected one of adamw, sgd"));
  spec.clear_optimizer();
  spec.mutable_data()->mutable_train()->set_crop(static_cast<vit::v1::TrainCrop>(77));
  EXPECT_EQ(CheckEnums(spec).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(CheckEnums(spec.data(), "data.").message()),
              HasSubstr("data.train.crop is 77; expected one of center, random"));
}

TEST(SpecTextTest, SetFieldTakesEveryKindOfField) {
  TrainingSpec spec;
  for (const char* assignment :
       {"optimizer.learning_rate=3e-4", "batch_size = 32", "seed=18446744073709551615",
        "optimizer.type=sgd", "schedule.type=SCHEDULE_TYPE_LINEAR", "optimizer.nesterov=true",
        "data.source=folder:/a=b", "data.mean=0.485, 0.456,0.406"}) {
    EXPECT_TRUE(SetField(assignment, &spec).ok())
        << assignment << ": " << SetField(assignment, &spec);
  }
  EXPECT_DOUBLE_EQ(spec.optimizer().learning_rate(), 3e-4);
  EXPECT_EQ(spec.batch_size(), 32);
  EXPECT_EQ(spec.seed(), 18446744073709551615u);
  EXPECT_EQ(spec.optimizer().type(), vit::v1::OPTIMIZER_TYPE_SGD);
  EXPECT_EQ(spec.schedule().type(), vit::v1::SCHEDULE_TYPE_LINEAR);
  EXPECT_TRUE(spec.optimizer().nesterov());
  EXPECT_EQ(spec.data().source(), "folder:/a=b");
  EXPECT_THAT(spec.data().mean(), ElementsAre(0.485, 0.456, 0.406));
}

TEST(SpecTextTest, SetFieldReplacesAListOfMessages) {
  TrainingSpec spec;
  ASSERT_TRUE(SetField("optimizer.groups={parameters: 'a'}", &spec).ok());
  const absl::Status status = SetField(
      "optimizer.groups={parameters: ['head.*', \"norm.*\"] learning_rate_multiplier: 10},"
      " {parameters: '*.bias'}",
      &spec);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(spec.optimizer().groups_size(), 2);
  EXPECT_THAT(spec.optimizer().groups(0).parameters(), ElementsAre("head.*", "norm.*"));
  EXPECT_EQ(spec.optimizer().groups(0).learning_rate_multiplier(), 10);
  EXPECT_THAT(spec.optimizer().groups(1).parameters(), ElementsAre("*.bias"));
  ASSERT_TRUE(SetField("optimizer.groups=", &spec).ok());
  EXPECT_EQ(spec.optimizer().groups_size(), 0);
}

TEST(SpecTextTest, ABadAssignmentNamesTheWayOut) {
  for (const BadText& bad : {
           BadText{"optimizer.learning_rat=1", "did you mean 'optimizer.learning_rate'?"},
           BadText{"optimiser.learning_rate=1", "did you mean 'optimizer.learning_rate'?"},
           BadText{"optimizer.lr=1", "did you mean 'optimizer.learning_rate'?"},
           BadText{"lr=1", "did you mean 'optimizer.learning_rate'?"},
           BadText{"schedule.warmup=1", "did you mean 'schedule.warmup_"},
           BadText{"model.learning_rate=1", "did you mean 'optimizer.learning_rate'?"},
           BadText{"learning_rate=1", "did you mean 'optimizer.learning_rate'?"},
           BadText{"batch_size=many", "batch_size: 'many' is not a 32-bit integer"},
           BadText{"batch_size=4.5", "batch_size: '4.5' is not a 32-bit integer"},
           BadText{"optimizer.nesterov=maybe", "'maybe' is not true or false"},
           BadText{"optimizer.type=adamax", "'adamax' is not one of adamw, sgd"},
           BadText{"optimizer.groups=head",
                   "optimizer.groups: 'head' is not a list of groups of fields, such as "
                   "{parameters: ...},{...}"},
           BadText{"optimizer.groups={parameter: 'head.*'}", "did you mean 'parameters'?"},
           BadText{"optimizer.groups.parameters=head.*",
                   "'optimizer.groups' is a list; set all of it, such as "
                   "optimizer.groups={parameters: ...},{...}"},
           BadText{"seed=-1", "'-1' is not an integer of at least 0"},
           BadText{"optimizer=adamw", "optimizer is a group of fields"},
           BadText{"batch_size.x=1", "'batch_size' has no fields"},
           BadText{"batch_size", "expected path.to.field=value"},
           BadText{"data.mean=0.5,red", "'red' is not a number"},
       }) {
    TrainingSpec spec;
    const absl::Status status = SetField(bad.text, &spec);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.message));
  }
}

TEST(SpecTextTest, MergingGoesByPresenceAndListsReplace) {
  TrainingSpec base, over;
  ASSERT_TRUE(ParseMessageText(
                  "batch_size: 8 epochs: 3 data { mean: [1, 2, 3] padding_is_not_here: 0 }", &base)
                  .code() == absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(
      ParseMessageText(
          "batch_size: 8 epochs: 3 data { mean: [1, 2, 3] std: [1, 1, 1] train { padding: 4 } }",
          &base)
          .ok());
  ASSERT_TRUE(
      ParseMessageText("batch_size: 0 data { mean: [5] train { horizontal_flip: 0 } }", &over)
          .ok());
  MergeByPresence(over, &base);
  EXPECT_TRUE(base.has_batch_size());
  EXPECT_EQ(base.batch_size(), 0);
  EXPECT_EQ(base.epochs(), 3);
  EXPECT_THAT(base.data().mean(), ElementsAre(5));
  EXPECT_THAT(base.data().std(), ElementsAre(1, 1, 1));
  EXPECT_EQ(base.data().train().padding(), 4);
  EXPECT_TRUE(base.data().train().has_horizontal_flip());
}

TEST(SpecTextTest, NearestNameIsNearOrNothing) {
  EXPECT_EQ(NearestName("vit_tinny_patch16_224", {"vit_tiny_patch16_224", "vit_small_patch16_224"}),
            "vit_tiny_patch16_224");
  EXPECT_EQ(NearestName("resnet50", {"vit_tiny_patch16_224"}), "");
}

}  // namespace
}  // namespace vit
