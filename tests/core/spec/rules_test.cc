#include "core/spec/rules.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/field_names.h"
#include "proto/schema.h"
#include "proto/set_field.h"
#include "vit/v1/training.pb.h"

namespace vit {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;
using ::testing::HasSubstr;
using ::vit::v1::FieldRule;
using ::vit::v1::OptimizerConfig;
using ::vit::v1::ScheduleConfig;
using ::vit::v1::TrainingSpec;

// Calls `visit` for every field of a specification, once for each message type.
void VisitFields(const Descriptor* type, const std::function<void(const FieldDescriptor*)>& visit) {
  for (int i = 0; i < type->field_count(); ++i) {
    visit(type->field(i));
    if (type->field(i)->message_type() != nullptr) {
      VisitFields(type->field(i)->message_type(), visit);
    }
  }
}

template <typename Message>
Message Set(const std::vector<std::string>& assignments) {
  Message message;
  for (const std::string& assignment : assignments) {
    EXPECT_TRUE(SetField(assignment, &message).ok()) << assignment;
  }
  return message;
}

template <typename Message>
std::string Refusal(const std::vector<std::string>& assignments, const std::string& path) {
  Message message = Set<Message>(assignments);
  FillRuleDefaults(&message);
  return std::string(CheckRules(message, path).message());
}

TEST(SchemaTest, EveryRuleMakesSense) {
  VisitFields(TrainingSpec::descriptor(), [](const FieldDescriptor* field) {
    const FieldRule& rule = RuleOf(field);
    const Descriptor* type = field->containing_type();
    EXPECT_FALSE(!rule.default_().empty() && !rule.derived().empty()) << field->full_name();
    EXPECT_FALSE(rule.has_min() && rule.has_above()) << field->full_name();
    EXPECT_FALSE(rule.has_max() && rule.has_below()) << field->full_name();
    if (!rule.needs().empty()) {
      EXPECT_NE(type->FindFieldByName(rule.needs()), nullptr) << field->full_name();
    }
    for (const std::string& value : rule.only_for()) {
      const FieldDescriptor* type_field = type->FindFieldByName("type");
      ASSERT_NE(type_field, nullptr) << field->full_name();
      std::set<std::string> known;
      for (int i = 0; i < type_field->enum_type()->value_count(); ++i) {
        known.insert(ShortEnumName(type_field->enum_type()->value(i)));
      }
      EXPECT_TRUE(known.contains(value)) << field->full_name() << " only_for " << value;
    }
    EXPECT_NE(CommentOf(field), "") << field->full_name();
  });
}

TEST(SchemaTest, EveryDefaultIsAValueOfItsFieldAndInItsRange) {
  VisitFields(TrainingSpec::descriptor(), [](const FieldDescriptor* field) {
    const FieldRule& rule = RuleOf(field);
    if (rule.default_().empty()) return;
    std::unique_ptr<google::protobuf::Message> message(
        google::protobuf::MessageFactory::generated_factory()
            ->GetPrototype(field->containing_type())
            ->New());
    if (!rule.only_for().empty()) {
      EXPECT_TRUE(SetField(absl::StrCat("type=", rule.only_for(0)), message.get()).ok());
    }
    if (!rule.needs().empty()) {
      EXPECT_TRUE(SetField(absl::StrCat(rule.needs(), "=1"), message.get()).ok());
    }
    const absl::Status set =
        SetField(absl::StrCat(field->name(), "=", rule.default_()), message.get());
    EXPECT_TRUE(set.ok()) << field->full_name() << ": " << set;
    const absl::Status checked = CheckRules(*message);
    EXPECT_TRUE(checked.ok()) << field->full_name() << ": " << checked;
  });
}

// Every field records what it means when unset: by a default, by how it is derived, or here.
TEST(SchemaTest, EveryFieldHasADefaultOrIsKnownToHaveNone) {
  const std::set<std::string> none = {
      "DataConfig.source",                // required
      "ParameterGroupConfig.parameters",  // required
      "OptimizerConfig.groups", "OptimizerConfig.frozen", "OptimizerConfig.base_learning_rate",
      "TrainingSpec.init", "DistillationConfig.teacher", "AveragingConfig.swa_start_epoch",
      "LossConfig.binary_threshold",
      // Another field of their choice has the default.
      "ScheduleConfig.warmup_steps", "ScheduleConfig.warmup_epochs", "ScheduleConfig.decay_steps",
      "ScheduleConfig.decay_epochs", "TrainingSpec.max_steps",
      // One of the choice is required.
      "ScheduleConfig.every_steps", "ScheduleConfig.every_epochs", "ScheduleConfig.milestone_steps",
      "ScheduleConfig.milestone_epochs"};
  VisitFields(TrainingSpec::descriptor(), [&](const FieldDescriptor* field) {
    if (field->message_type() != nullptr && !field->is_repeated()) return;
    const FieldRule& rule = RuleOf(field);
    const std::string name = absl::StrCat(field->containing_type()->name(), ".", field->name());
    EXPECT_EQ(rule.default_().empty() && rule.derived().empty(), none.contains(name)) << name;
  });
}

TEST(FillRuleDefaultsTest, FillsWhatAppliesToTheType) {
  auto sgd = Set<OptimizerConfig>({"type=sgd"});
  FillRuleDefaults(&sgd);
  EXPECT_EQ(sgd.momentum(), 0.9);
  EXPECT_FALSE(sgd.has_beta1());
  EXPECT_FALSE(sgd.has_always_adapt());
  OptimizerConfig adamw;
  FillRuleDefaults(&adamw);
  EXPECT_EQ(adamw.type(), vit::v1::OPTIMIZER_TYPE_ADAMW);
  EXPECT_EQ(adamw.beta1(), 0.9);
  EXPECT_FALSE(adamw.has_momentum());
}

TEST(FillRuleDefaultsTest, FillsWhatIsNeededOnlyBesideWhatNeedsIt) {
  OptimizerConfig plain;
  FillRuleDefaults(&plain);
  EXPECT_FALSE(plain.has_base_batch_size());
  auto scaled = Set<OptimizerConfig>({"base_learning_rate=0.1"});
  FillRuleDefaults(&scaled);
  EXPECT_EQ(scaled.base_batch_size(), 256);
  EXPECT_EQ(scaled.learning_rate_scaling(), vit::v1::LEARNING_RATE_SCALING_LINEAR);
}

TEST(FillRuleDefaultsTest, FillsAChoiceOnlyWhereNoneIsMade) {
  ScheduleConfig open;
  FillRuleDefaults(&open);
  EXPECT_EQ(open.warmup_fraction(), 0.05);
  auto chosen = Set<ScheduleConfig>({"warmup_steps=0"});
  FillRuleDefaults(&chosen);
  EXPECT_FALSE(chosen.has_warmup_fraction());
}

TEST(FillRuleDefaultsTest, KeepsWhatIsSetAndFillsListsAndWhatIsInThem) {
  auto spec = Set<TrainingSpec>({"data.mean=0,0,0", "data.train.horizontal_flip=0",
                                 "optimizer.groups={parameters: 'head.*'}"});
  FillRuleDefaults(&spec);
  EXPECT_EQ(spec.data().mean(0), 0);
  EXPECT_EQ(spec.data().std_size(), 3);
  EXPECT_EQ(spec.data().train().horizontal_flip(), 0);
  EXPECT_EQ(spec.optimizer().groups(0).learning_rate_multiplier(), 1);
  EXPECT_FALSE(spec.has_distillation());  // nothing in it has a default without a teacher
  TrainingSpec again = spec;
  FillRuleDefaults(&again);
  EXPECT_EQ(again.SerializeAsString(), spec.SerializeAsString());
}

TEST(CheckRulesTest, NamesTheFieldTheValueAndWhatIsExpected) {
  const auto optimizer = [](const std::vector<std::string>& set) {
    return Refusal<OptimizerConfig>(set, "optimizer.");
  };
  const auto schedule = [](const std::vector<std::string>& set) {
    return Refusal<ScheduleConfig>(set, "schedule.");
  };
  EXPECT_EQ(optimizer({"beta1=1"}), "optimizer.beta1 is 1; expected at least 0, below 1");
  EXPECT_EQ(optimizer({"weight_decay=nan"}), "optimizer.weight_decay is nan; expected at least 0");
  EXPECT_EQ(optimizer({"groups={parameters: 'a'},{parameters: 'b', learning_rate_multiplier: 0}"}),
            "optimizer.groups[1].learning_rate_multiplier is 0; expected above 0 (list parameters "
            "that keep their values in optimizer.frozen)");
  EXPECT_EQ(optimizer({"type=adamw", "momentum=0.5"}),
            "optimizer.momentum applies to optimizer.type sgd, and optimizer.type is adamw; remove "
            "it, or change optimizer.type");
  EXPECT_EQ(optimizer({"base_batch_size=64"}),
            "optimizer.base_batch_size has no effect without optimizer.base_learning_rate; set "
            "that, or remove optimizer.base_batch_size");
  EXPECT_EQ(schedule({"warmup_steps=1", "warmup_epochs=1"}),
            "schedule.warmup_steps and schedule.warmup_epochs are both set; they exclude each "
            "other, so set one of them");
  EXPECT_EQ(Refusal<TrainingSpec>({"batch_size=2000000"}, ""),
            "batch_size is 2000000; expected 1 to 1048576");
  EXPECT_EQ(Refusal<TrainingSpec>({"model.head_bias=inf"}, ""),
            "model.head_bias is inf; expected a finite number");
  EXPECT_EQ(Refusal<TrainingSpec>({"model.in_channels=1"}, ""),
            "model.in_channels is 1; expected 3");
  EXPECT_EQ(Refusal<TrainingSpec>({}, ""), "");
}

TEST(CheckChoicesTest, AppliesBeforeDefaultsAreFilledIn) {
  EXPECT_THAT(std::string(CheckChoices(Set<TrainingSpec>({"epochs=1", "max_steps=1"})).message()),
              HasSubstr("epochs and max_steps are both set"));
  EXPECT_TRUE(CheckChoices(Set<TrainingSpec>({"epochs=1", "batch_size=-1"})).ok());
}

TEST(ClearReplacedTest, AChoiceReplacesTheOthersAndATypeItsFields) {
  auto base = Set<TrainingSpec>({"epochs=3", "schedule.warmup_fraction=0.1", "optimizer.type=sgd",
                                 "optimizer.momentum=0.5", "optimizer.weight_decay=0.1"});
  ClearReplaced(
      Set<TrainingSpec>({"max_steps=3", "schedule.warmup_steps=7", "optimizer.type=adamw"}), &base);
  EXPECT_FALSE(base.has_epochs());
  EXPECT_FALSE(base.schedule().has_warmup_fraction());
  EXPECT_FALSE(base.optimizer().has_momentum());
  EXPECT_EQ(base.optimizer().weight_decay(), 0.1);
}

}  // namespace
}  // namespace vit
