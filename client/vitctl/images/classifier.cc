#include "client/vitctl/images/classifier.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/vitctl/files.h"

namespace vit {
namespace {

// How far answers may run ahead of the oldest that is missing, in rounds of requests.
constexpr size_t kRoundsAhead = 4;

}  // namespace

Classifier::Classifier(VitClient& client, Options options)
    : client_(client), options_(std::move(options)) {}

Classifier::Outcome Classifier::Run(const std::vector<ImagePath>& files,
                                    const absl::StatusOr<std::string>& standard_input,
                                    std::stop_token stop, const OnResult& on_result) {
  files_ = &files;
  standard_input_ = &standard_input;
  const std::stop_callback interrupted(stop, [this] {
    stop_.request_stop();
    const std::lock_guard lock(mu_);
    ending_ = true;
    changed_.notify_all();
  });
  const size_t requests = (files.size() + options_.images_per_request - 1) /
                          static_cast<size_t>(options_.images_per_request);
  working_ = static_cast<int>(std::min<size_t>(options_.concurrency, requests));
  {
    std::vector<std::jthread> workers;
    for (int i = working_; i > 0; --i) workers.emplace_back([this] { Work(); });
    Emit(on_result);
  }
  const std::lock_guard lock(mu_);
  const int64_t unanswered = static_cast<int64_t>(files.size()) - answered_;
  if (stop.stop_requested() && unanswered > 0) ended_ = absl::CancelledError("interrupted");
  return {.ended = ended_, .unanswered = unanswered};
}

void Classifier::Work() {
  while (const std::optional<Range> range = TakeFiles()) ClassifyRange(*range);
  const std::lock_guard lock(mu_);
  --working_;
  changed_.notify_all();
}

std::optional<Classifier::Range> Classifier::TakeFiles() {
  const size_t images = options_.images_per_request;
  std::unique_lock lock(mu_);
  changed_.wait(lock, [&] {
    return ending_ || next_ == files_->size() ||
           next_ - first_ < kRoundsAhead * options_.concurrency * images;
  });
  if (ending_ || next_ == files_->size()) return std::nullopt;
  const Range range = {next_, std::min(next_ + images, files_->size())};
  next_ = range.end;
  for (size_t i = range.begin; i < range.end; ++i) window_.push_back({.file = (*files_)[i].path});
  return range;
}

void Classifier::ClassifyRange(Range range) {
  vit::v1::ClassifyRequest request;
  request.set_model(options_.model);
  request.set_top_k(options_.top_k);
  request.set_priority(options_.priority);
  std::vector<size_t> places;  // the file of each image of `request`
  size_t bytes = 0;
  const auto send = [&] {
    const bool go_on = request.images().empty() || Send(request, places);
    request.clear_images();
    places.clear();
    bytes = 0;
    return go_on;
  };
  for (size_t i = range.begin; i < range.end; ++i) {
    auto image = Read(i);
    if (!image.ok()) {
      Answer(i, {.status = image.status()});
      continue;
    }
    if (bytes + image->size() > options_.request_bytes && !send()) return;
    bytes += image->size();
    request.add_images()->swap(*image);
    places.push_back(i);
  }
  send();
}

absl::StatusOr<std::string> Classifier::Read(size_t file) const {
  const ImagePath& image = (*files_)[file];
  if (!image.status.ok()) return image.status;
  if (image.path == "-") return *standard_input_;
  return ReadImageFile(image.path);
}

bool Classifier::Send(const vit::v1::ClassifyRequest& request, const std::vector<size_t>& places) {
  auto response = client_.Classify(request, stop_.get_token());
  if (!response.ok()) {
    // With a single image in the request, the server returns its error as the call's.
    const bool own = request.images_size() == 1 && (absl::IsInvalidArgument(response.status()) ||
                                                    absl::IsResourceExhausted(response.status()));
    if (own) {
      Answer(places[0], {.status = response.status()});
    } else {
      End(places[0], response.status());
    }
    return own;
  }
  if (response->results_size() != request.images_size()) {
    End(places[0],
        absl::InternalError(absl::StrCat("the server answered ", response->results_size(), " of ",
                                         request.images_size(), " images")));
    return false;
  }
  for (int i = 0; i < response->results_size(); ++i) {
    const vit::v1::ImageResult& answer = response->results(i);
    Answer(places[i],
           {.status = absl::Status(static_cast<absl::StatusCode>(answer.code()), answer.error()),
            .classes = {answer.classes().begin(), answer.classes().end()},
            .model = response->model()});
  }
  return true;
}

void Classifier::Answer(size_t file, FileResult result) {
  const std::lock_guard lock(mu_);
  FileResult& place = window_[file - first_];
  result.file = std::move(place.file);
  result.answered = true;
  place = std::move(result);
  ++answered_;
  if (file == first_) changed_.notify_all();
}

void Classifier::End(size_t file, const absl::Status& status) {
  const std::lock_guard lock(mu_);
  // The first error in the order of the files, so that it does not depend on how requests overtake
  // each other.
  if (ended_.ok() || file < ended_at_) {
    ended_ = status;
    ended_at_ = file;
  }
  ending_ = true;
  changed_.notify_all();
}

void Classifier::Emit(const OnResult& on_result) {
  std::unique_lock lock(mu_);
  while (first_ < files_->size()) {
    const auto known = [&] { return !window_.empty() && window_.front().answered; };
    changed_.wait(lock, [&] { return known() || working_ == 0; });
    FileResult result;
    if (!known()) {
      // Nothing more will be answered.
      if (ended_.ok() || stop_.stop_requested() || answered_ == 0) {
        if (window_.empty()) return;
        window_.pop_front();
        ++first_;
        continue;
      }
      result = {.file = (*files_)[first_].path, .status = ended_};
    } else {
      result = std::move(window_.front());
    }
    if (!window_.empty()) window_.pop_front();
    ++first_;
    changed_.notify_all();
    lock.unlock();
    const bool go_on = on_result(std::move(result));
    lock.lock();
    if (!go_on) {
      ending_ = true;
      stop_.request_stop();
      changed_.notify_all();
      changed_.wait(lock, [&] { return working_ == 0; });
      return;
    }
  }
}

}  // namespace vit
