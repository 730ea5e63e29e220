// Compares parsed policies with those of timm and torchvision; see
// tests/data/make_augment_reference.py.
#include "core/data/augment/augment_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace vit::augment {
namespace {
namespace fs = std::filesystem;

using ::testing::HasSubstr;

const fs::path kReference = fs::path(VIT_SOURCE_DIR) / "tests/data/augment";

// Converts our argument to the reference's: timm desaturates by the part that we keep, torchvision
// adds 1 to factors later and moves the other way.
double AsReference(const std::string& family, const std::string& name, double argument) {
  if (family == "timm") return name == "Desaturate" ? 1 - argument : argument;
  if (name == "Brightness" || name == "Color" || name == "Contrast" || name == "Sharpness") {
    return argument - 1;
  }
  return absl::StartsWith(name, "Translate") ? -argument : argument;
}

TEST(PolicyTest, OperationsAreAsStrongAsTheReferences) {
  std::ifstream file(kReference / "levels.txt");
  int count = 0;
  std::string family, name;
  for (double magnitude, expected; file >> family >> name >> magnitude >> expected; ++count) {
    SCOPED_TRACE(absl::StrCat(family, " ", name, " ", magnitude));
    const LeveledOperation* operation = family == "timm" ? FindTimmOperation(name)
                                        : family == "autoaugment"
                                            ? FindAutoAugmentOperation(name)
                                            : FindTrivialAugmentOperation(name);
    ASSERT_NE(operation, nullptr);
    const double levels = family == "timm" ? 10 : family == "autoaugment" ? 9 : 30;
    const LevelContext context = {.image_size = 32};
    const double argument =
        AsReference(family, name, operation->argument(magnitude / levels, 1, context));
    // torchvision truncates translations to whole pixels when it applies them; single precision
    // leaves it a 15.999999 that should be 16.
    if (family != "timm" && absl::StartsWith(name, "Translate")) {
      expected = std::trunc(expected + 1e-5);
    }
    EXPECT_NEAR(argument, expected, 1e-5 * std::max(1.0, std::abs(expected)));
    if (operation->has_sign && family == "timm" && name.find("Increasing") == std::string::npos) {
      EXPECT_EQ(operation->argument(magnitude / levels, -1, context),
                -operation->argument(magnitude / levels, 1, context));
    }
  }
  EXPECT_EQ(count, 667);
}

std::string Describe(const PolicyStep& step) {
  return absl::StrFormat("%s:%g:%g", step.operation->name, step.probability, step.magnitude);
}

// In the format of the script that made policies.txt.
std::string Describe(const Policy& policy) {
  const std::string magnitudes = absl::StrFormat(
      "std=%s max=%g",
      policy.magnitude_uniform ? "uniform" : absl::StrFormat("%g", policy.magnitude_std),
      policy.magnitude_max);
  std::vector<std::string> words;
  if (policy.kind == Policy::Kind::kSubPolicies) {
    words = {"choice", magnitudes};
    for (const auto& steps : policy.sub_policies) {
      words.push_back(absl::StrJoin(
          steps, "+", [](std::string* out, const PolicyStep& s) { *out += Describe(s); }));
    }
  } else if (policy.kind == Policy::Kind::kTrivial) {
    words = {"trivial", absl::StrFormat("max=%g", policy.magnitude_max)};
    for (const PolicyStep& step : policy.steps) words.emplace_back(step.operation->name);
  } else {
    if (policy.kind == Policy::Kind::kRandAugment) {
      words = {"rand", absl::StrCat("n=", policy.count), magnitudes};
    } else {
      words = {absl::StrFormat("augmix w=%d d=%d a=%g b=%d", policy.width, policy.depth,
                               policy.alpha, policy.blended),
               magnitudes};
    }
    for (size_t i = 0; i < policy.steps.size(); ++i) {
      words.push_back(Describe(policy.steps[i]));
      if (!policy.weights.empty()) {
        absl::StrAppend(&words.back(), absl::StrFormat(":%.6f", policy.weights[i]));
      }
    }
  }
  return absl::StrJoin(words, " ");
}

// torchvision has no magnitude ("-") if there is nothing to choose.
std::string WithoutMagnitudes(std::string expected, const std::string& described) {
  for (size_t at; (at = expected.find(":-")) != std::string::npos;) {
    if (at + 2 > described.size()) break;
    expected.replace(at + 1, 1, std::string(1, described[at + 1]));
  }
  return expected;
}

TEST(PolicyTest, StringsMeanWhatTheyMeanInTimmAndTorchvision) {
  std::ifstream file(kReference / "policies.txt");
  int count = 0;
  for (std::string line; std::getline(file, line); ++count) {
    const std::string text = line.substr(0, line.find(' '));
    SCOPED_TRACE(text);
    const absl::StatusOr<Policy> policy = ParsePolicy(text);
    ASSERT_TRUE(policy.ok()) << policy.status();
    const std::string described = Describe(*policy);
    EXPECT_EQ(described, WithoutMagnitudes(line.substr(text.size() + 1), described));
    const bool torchvision =
        text == "imagenet" || text == "cifar10" || text == "svhn" || text == "trivial";
    EXPECT_EQ(policy->nearest_on_black, torchvision);
    EXPECT_EQ(policy->translate_part, text.substr(0, 6) == "augmix" ? 0.3 : 0.45);
  }
  EXPECT_EQ(count, 20);
}

TEST(PolicyTest, NoneAndNothingChangeNothing) {
  for (const char* text : {"", "none"}) {
    ASSERT_TRUE(ParsePolicy(text).ok());
    EXPECT_EQ(ParsePolicy(text)->kind, Policy::Kind::kNone);
  }
}

TEST(PolicyTest, NamesThePartThatIsWrong) {
  for (const auto& [text, expected] : {
           std::pair{"randaugment", "\"randaugment\" is not a policy; expected none, rand-..."},
           {"rand-m9-x3", "\"x3\" is unknown; expected one of m, n, p, mstd, mmax, inc"},
           {"rand-m9-mstd0.5-inc", "\"inc\" needs a whole number from 0 to 1 after \"inc\""},
           {"rand-m9-inc2", "\"inc2\" needs a whole number from 0 to 1"},
           {"rand-m9.5", "\"m9.5\" needs a whole number from 0 to 100 after \"m\""},
           {"rand-m9x", "\"m9x\" needs a whole number"},
           {"rand-m101", "\"m101\" needs a whole number from 0 to 100"},
           {"rand-n0", "\"n0\" needs a whole number from 1 to 100"},
           {"rand-p1.5", "\"p1.5\" needs a number from 0 to 1"},
           {"rand-mstd", "\"mstd\" needs a number from 0 up"},
           {"rand-m9-m8", "\"m8\" is the second value of \"m\""},
           {"rand--m9", "\"\" is unknown"},
           {"rand-tpets", "\"tpets\" is not a set of operations; expected tweights, t3a or t3aw"},
           {"rand-t3a-tweights", "\"tweights\" is the second set"},
           {"rand-w0", "\"w0\" is no longer in timm; expected tweights"},
           {"rand-n15-t3aw", "\"n15\" is more than the 14 operations of t3aw"},
           {"v0-m9", "\"m9\" is unknown; expected one of mstd"},
           {"v0-mstd101", "\"mstd101\" needs a number from 0 to 100"},
           {"augmix-n3", "\"n3\" is unknown; expected one of m, w, d, a, b, mstd"},
           {"augmix-w0", "\"w0\" needs a whole number from 1"},
           {"trivial-m9", "\"m9\" is invalid: trivial takes no settings"},
           {"imagenet-mstd1", "\"mstd1\" is invalid: imagenet takes no settings"},
           {"none-m9", "\"m9\" is invalid"},
           {"Rand-m9", "\"Rand\" is not a policy"},
       }) {
    const absl::Status status = ParsePolicy(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(expected)) << text;
  }
}

}  // namespace
}  // namespace vit::augment
