#include "proto/model_ref.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace vit {
namespace {

using ::testing::HasSubstr;

TEST(ModelRefTest, ReadsEveryForm) {
  struct Case {
    std::string text, name, string, prefixed;
    ModelRef::Kind kind;
    int64_t number;
  };
  for (const Case& c : {
           Case{"", "", "latest", "latest", ModelRef::Kind::kLatest, ModelRef::kServed},
           Case{"latest", "", "latest", "latest", ModelRef::Kind::kLatest, ModelRef::kServed},
           Case{"run:a b", "a b", "run:a b", "run:a b", ModelRef::Kind::kRun, ModelRef::kServed},
           Case{"run:x@70", "x", "run:x@70", "run:x@70", ModelRef::Kind::kRun, 70},
           Case{"run:x@0", "x", "run:x@0", "run:x@0", ModelRef::Kind::kRun, 0},
           Case{"run:a@b", "a@b", "run:a@b", "run:a@b", ModelRef::Kind::kRun, ModelRef::kServed},
           Case{"run:a@2@7", "a@2", "run:a@2@7", "run:a@2@7", ModelRef::Kind::kRun, 7},
           Case{"pets", "pets", "pets", "model:pets", ModelRef::Kind::kModel, ModelRef::kServed},
           Case{"pets@3", "pets", "pets@3", "model:pets@3", ModelRef::Kind::kModel, 3},
           Case{"model:pets", "pets", "pets", "model:pets", ModelRef::Kind::kModel,
                ModelRef::kServed},
           Case{"model:pets@3", "pets", "pets@3", "model:pets@3", ModelRef::Kind::kModel, 3},
       }) {
    const absl::StatusOr<ModelRef> ref = ModelRef::Parse(c.text);
    ASSERT_TRUE(ref.ok()) << ref.status();
    EXPECT_EQ(ref->kind, c.kind) << c.text;
    EXPECT_EQ(ref->name, c.name) << c.text;
    EXPECT_EQ(ref->number, c.number) << c.text;
    EXPECT_EQ(ref->ToString(), c.string) << c.text;
    EXPECT_EQ(ref->ToPrefixedString(), c.prefixed) << c.text;
  }
}

TEST(ModelRefTest, SaysWhatIsWrong) {
  for (const auto& [text, message] : {std::pair{"run:", "names no run"},
                                      {"pets@0", "'0' is not a version number"},
                                      {"pets@1@2", "'1@2' is not a version number"},
                                      {"a/b", "model name 'a/b'"},
                                      {"model:", "model name ''"},
                                      {"model:run", "model name 'run' has another meaning"},
                                      {".hidden", "the first a letter or digit"}}) {
    const absl::Status status = ModelRef::Parse(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << text;
  }
}

}  // namespace
}  // namespace vit
