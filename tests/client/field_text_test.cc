#include "client/vitctl/view/field_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "tests/client/fake_vitd.h"

namespace vit {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(FieldTextTest, DocsFieldsIsWhatTheSchemaSays) {
  std::ifstream file(std::string(VIT_SOURCE_DIR) + "/docs/fields.md");
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), FieldsMarkdown())
      << "write it again: build/release/bin/vitctl fields --markdown > docs/fields.md";
}

TEST(FieldsCommandTest, ExplainsAField) {
  const Outcome outcome = Vitctl({"fields", "optimizer.beta1"});
  EXPECT_EQ(outcome.exit_code, kExitOk);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("optimizer.beta1\n"), HasSubstr("default  0.9"),
                                 HasSubstr("at least 0, below 1; with optimizer.type adamw"),
                                 HasSubstr("Decay rate of the gradient's mean")));
  EXPECT_THAT(Vitctl({"fields", "optimizer.type"}).out, HasSubstr("  sgd: Stochastic gradient"));
  EXPECT_THAT(Vitctl({"fields", "optimizer"}).out,
              AllOf(HasSubstr("weight_decay"), HasSubstr("0.05, adam 0")));
  EXPECT_THAT(Vitctl({"fields"}).out, AllOf(HasSubstr("batch_size"), HasSubstr("128")));
}

TEST(FieldsCommandTest, GivesJson) {
  EXPECT_THAT(Vitctl({"-o", "json", "fields", "optimizer.beta1"}).out,
              AllOf(HasSubstr("\"default\": \"0.9\""), HasSubstr("\"below\": 1")));
}

TEST(FieldsCommandTest, IsCutToTheTerminalUnlessItIsToBeWide) {
  Terminal narrow = Pipe();
  narrow.columns = [] { return 60; };
  EXPECT_THAT(Vitctl({"fields", "optimizer"}, narrow).out, Not(HasSubstr("scaled from it")));
  EXPECT_THAT(Vitctl({"-o", "wide", "fields", "optimizer"}, narrow).out,
              HasSubstr("scaled from it"));
}

TEST(FieldsCommandTest, NamesTheNearestField) {
  const Outcome outcome = Vitctl({"fields", "optimizer.beta"});
  EXPECT_EQ(outcome.exit_code, kExitUsage);
  EXPECT_THAT(outcome.err,
              HasSubstr("optimizer has no field 'beta'; did you mean 'beta1' or 'beta2'?"));
}

}  // namespace
}  // namespace vit
