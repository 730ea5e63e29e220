#include "core/infer/admission.h"

#include <gtest/gtest.h>

namespace vit {
namespace {

class AdmissionTest : public ::testing::Test {
 protected:
  absl::Status Admit(Admission::Demand demand, absl::Duration timeout = absl::InfiniteDuration()) {
    return admission_.Admit(demand, now_, now_ + timeout);
  }
  // Teaches that an image of the model takes 10 ms.
  void Learn(const std::string& model) {
    for (int i = 0; i < 8; ++i) {
      const Admission::Demand demand = {.model = model, .images = 2};
      EXPECT_EQ(Admit(demand), absl::OkStatus());
      now_ += i == 0 ? absl::Seconds(5) : absl::Milliseconds(20);  // the first one loads
      admission_.OnBatch(model, 2, now_);
      admission_.Release(demand);
    }
  }

  absl::Time now_ = absl::UnixEpoch();
  Admission admission_{{.max_images = 40, .max_images_per_model = 30, .max_bytes = 100}};
};

TEST_F(AdmissionTest, EachLimitRefusesWhatWouldExceedIt) {
  EXPECT_EQ(Admit({.model = "a", .images = 30, .bytes = 50}), absl::OkStatus());
  EXPECT_EQ(Admit({.model = "a", .images = 1, .bytes = 10}),
            absl::ResourceExhaustedError(
                "the queue of a is full: 30 of at most 30 images are waiting; retry later"));
  EXPECT_EQ(Admit({.model = "b", .images = 11, .bytes = 10}),
            absl::ResourceExhaustedError(
                "the queue is full: 30 of at most 40 images are waiting; retry later"));
  EXPECT_EQ(Admit({.model = "b", .images = 1, .bytes = 51}),
            absl::ResourceExhaustedError(
                "the queue is full: 50 of at most 100 bytes of images are waiting; retry later"));
  EXPECT_EQ(Admit({.model = "b", .images = 1, .bytes = 50}), absl::OkStatus());
  admission_.Release({.model = "a", .images = 30, .bytes = 50});
  EXPECT_EQ(Admit({.model = "a", .images = 30, .bytes = 50}), absl::OkStatus());
}

TEST_F(AdmissionTest, ARequestThatIsAloneMayHaveAnyBytes) {
  EXPECT_EQ(Admit({.model = "a", .images = 1, .bytes = 1000}), absl::OkStatus());
  EXPECT_FALSE(Admit({.model = "a", .images = 1, .bytes = 1}).ok());
}

TEST_F(AdmissionTest, WhatWouldBeAnsweredTooLateIsRefusedAtOnce) {
  Learn("a");
  EXPECT_EQ(Admit({.model = "a", .images = 20}, absl::Milliseconds(1)), absl::OkStatus());
  EXPECT_EQ(
      Admit({.model = "b", .images = 1}, absl::Milliseconds(200)),
      absl::ResourceExhaustedError(
          "overloaded: 20 images are waiting, which takes about 200ms, longer than the call's "
          "deadline allows; retry later"));
  EXPECT_EQ(Admit({.model = "b", .images = 1}, absl::Milliseconds(250)), absl::OkStatus());
  EXPECT_EQ(Admit({.model = "b", .images = 1}), absl::OkStatus());
}

TEST_F(AdmissionTest, WhatGoesFirstDoesNotWaitForTheRest) {
  Learn("a");
  EXPECT_EQ(Admit({.model = "a", .images = 20}), absl::OkStatus());
  EXPECT_EQ(
      Admit({.model = "a", .images = 1, .priority = TaskPriority::kHigh}, absl::Milliseconds(50)),
      absl::OkStatus());
}

}  // namespace
}  // namespace vit
