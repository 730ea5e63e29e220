#include "core/infer/admission.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"

namespace vit {
namespace {

constexpr size_t kLeastSamples = 5;
constexpr size_t kMostSamples = 15;
// Models whose time is remembered while none of their images is in flight.
constexpr size_t kMostModels = 100;
// An estimate is refused only if it misses the deadline by this factor's worth.
constexpr double kMargin = 1.2;

}  // namespace

int Admission::Model::Images(TaskPriority lowest) const {
  int sum = 0;
  for (size_t i = 0; i <= static_cast<size_t>(lowest); ++i) sum += images[i];
  return sum;
}

absl::Duration Admission::Model::PerImage() const {
  if (samples.size() < kLeastSamples) return absl::ZeroDuration();
  std::vector<absl::Duration> sorted(samples.begin(), samples.end());
  const auto middle = sorted.begin() + static_cast<ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

absl::Status Admission::Admit(const Demand& demand, absl::Time now, absl::Time deadline) {
  MutexLock lock(&mu_);
  if (images_ + demand.images > limits_.max_images) {
    return absl::ResourceExhaustedError(absl::StrCat("the queue is full: ", images_, " of at most ",
                                                     limits_.max_images,
                                                     " images are waiting; retry later"));
  }
  const auto known = models_.find(demand.model);
  const int of_model = known == models_.end() ? 0 : known->second.Images(TaskPriority::kLow);
  if (of_model + demand.images > limits_.max_images_per_model) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the queue of ", demand.model, " is full: ", of_model, " of at most ",
                     limits_.max_images_per_model, " images are waiting; retry later"));
  }
  if (images_ > 0 && bytes_ + demand.bytes > limits_.max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("the queue is full: ", bytes_, " of at most ",
                                                     limits_.max_bytes,
                                                     " bytes of images are waiting; retry later"));
  }
  absl::Duration wait;
  for (const auto& [name, model] : models_) {
    wait += model.Images(demand.priority) * model.PerImage();
  }
  // What is alone is tried.
  if (wait > absl::ZeroDuration() && now + kMargin * wait > deadline && deadline > now) {
    return absl::ResourceExhaustedError(
        absl::StrCat("overloaded: ", images_, " images are waiting, which takes about ",
                     absl::FormatDuration(absl::Trunc(wait, absl::Milliseconds(1))),
                     ", longer than the call's deadline allows; retry later"));
  }
  if (images_ == 0) busy_since_ = now;
  images_ += demand.images;
  bytes_ += demand.bytes;
  models_[demand.model].images[static_cast<size_t>(demand.priority)] += demand.images;
  return absl::OkStatus();
}

void Admission::Release(const Demand& demand) {
  MutexLock lock(&mu_);
  images_ -= demand.images;
  bytes_ -= demand.bytes;
  Model& model = models_[demand.model];
  model.images[static_cast<size_t>(demand.priority)] -= demand.images;
  if (models_.size() > kMostModels && model.Images(TaskPriority::kLow) == 0) {
    models_.erase(demand.model);
  }
}

void Admission::OnBatch(const std::string& model, int images, absl::Time now) {
  MutexLock lock(&mu_);
  const auto known = models_.find(model);
  if (known == models_.end()) return;
  std::deque<absl::Duration>& samples = known->second.samples;
  samples.push_back((now - busy_since_) / images);
  if (samples.size() > kMostSamples) samples.pop_front();
  busy_since_ = now;
}

}  // namespace vit
