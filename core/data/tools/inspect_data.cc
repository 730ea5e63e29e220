#include "core/data/tools/inspect_data.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/compute/compute_budget.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/data/image/transform.h"
#include "core/data/per_split.h"
#include "core/data/sources/fingerprint.h"

namespace vit {
namespace {

using ::vit::v1::DataReport;
using ::vit::v1::DuplicateGroup;

constexpr int kNiceness = 10;  // training goes first
constexpr int64_t kProgressSamples = 256;
constexpr int kNamesPerGroup = 10;

// What the report needs about an image.
struct Look {
  absl::Status status;
  int width = 0;
  int height = 0;
  std::array<double, 3> mean{};    // of its values, 0..1
  std::array<double, 3> square{};  // mean of their squares
  uint64_t content = 0;            // of the encoded bytes, or of the pixels if there are none
  std::array<uint64_t, 2> outline{};

  bool ok() const { return status.ok(); }
};

// Returns which of neighbouring cells is brighter, across and down, in a grey image of 9x9 cells:
// the same for an image in another size or encoding (Krawetz, "Kind of Like That", 2013).
std::array<uint64_t, 2> Outline(const Image& image) {
  constexpr int kCells = 8;
  const Image small = Resize(image, kCells + 1, kCells + 1, vit::v1::INTERPOLATION_BILINEAR);
  const auto grey = [&](int x, int y) {
    const uint8_t* p = &small.rgb[size_t{3} * (y * (kCells + 1) + x)];
    return 299 * p[0] + 587 * p[1] + 114 * p[2];  // ITU-R BT.601
  };
  std::array<uint64_t, 2> outline{};
  for (int y = 0; y < kCells; ++y) {
    for (int x = 0; x < kCells; ++x) {
      outline[0] = outline[0] << 1 | static_cast<uint64_t>(grey(x, y) < grey(x + 1, y));
      outline[1] = outline[1] << 1 | static_cast<uint64_t>(grey(x, y) < grey(x, y + 1));
    }
  }
  return outline;
}

uint64_t ContentHash(absl::string_view bytes) {
  Fingerprint fingerprint;
  fingerprint.Add(bytes);
  return fingerprint.value();
}

absl::Status LookAt(const DataSet& data, DataSplit split, int64_t index, Look* look) {
  VIT_ASSIGN_OR_RETURN(const Image image, data.Load(split, index));
  const absl::StatusOr<std::string> encoded = data.ReadEncoded(split, index);
  look->content =
      ContentHash(encoded.ok() ? absl::string_view(*encoded)
                               : absl::string_view(reinterpret_cast<const char*>(image.rgb.data()),
                                                   image.rgb.size()));
  look->width = image.width;
  look->height = image.height;
  std::array<uint64_t, 3> sum{}, square{};
  for (size_t i = 0; i < image.rgb.size(); i += 3) {
    for (size_t c = 0; c < 3; ++c) {
      const uint64_t value = image.rgb[i + c];
      sum[c] += value;
      square[c] += value * value;
    }
  }
  const double pixels = static_cast<double>(image.rgb.size()) / 3;
  for (size_t c = 0; c < 3; ++c) {
    look->mean[c] = static_cast<double>(sum[c]) / pixels / 255;
    look->square[c] = static_cast<double>(square[c]) / pixels / (255.0 * 255.0);
  }
  look->outline = Outline(image);
  return absl::OkStatus();
}

class Inspector {
 public:
  Inspector(const DataSet& data, const InspectOptions& options)
      : data_(data),
        options_(options),
        train_(data.size(DataSplit::kTrain)),
        looks_(train_ + data.size(DataSplit::kValidation)) {}

  absl::Status LookAtAll(const std::stop_token& stop,
                         const std::function<void(int64_t)>& on_progress);
  DataReport Report() const;

 private:
  DataSplit SplitOf(int64_t i) const {
    return i < train_ ? DataSplit::kTrain : DataSplit::kValidation;
  }
  int64_t IndexOf(int64_t i) const { return i < train_ ? i : i - train_; }
  int64_t LabelOf(int64_t i) const { return data_.label(SplitOf(i), IndexOf(i)); }
  std::string NameOf(int64_t i) const { return data_.name(SplitOf(i), IndexOf(i)); }

  void DescribeSource(DataReport* report) const;
  void Measure(DataReport* report) const;
  void ListUnreadable(DataReport* report) const;
  // Notes why a run would refuse the data, or fail.
  void NoteRefusals(DataReport* report) const;
  // Returns groups of two or more readable images with the same `key`.
  template <typename Key>
  std::vector<std::vector<int64_t>> GroupBy(Key key) const;
  // Counts the different contents of `members`.
  int64_t Contents(const std::vector<int64_t>& members) const;
  // Splits a group by colour: smooth images share outlines by chance; copies share colours as well.
  std::vector<std::vector<int64_t>> SplitByColour(const std::vector<int64_t>& group) const;
  void FindCopies(DataReport* report) const;
  void AddGroup(const std::vector<int64_t>& members, bool exact, std::set<int64_t>* leaked,
                DataReport* report) const;

  const DataSet& data_;
  const InspectOptions options_;
  const int64_t train_;  // samples; validation samples follow them
  std::vector<Look> looks_;
};

absl::Status Inspector::LookAtAll(const std::stop_token& stop,
                                  const std::function<void(int64_t)>& on_progress) {
  const int64_t total = static_cast<int64_t>(looks_.size());
  std::atomic<int64_t> next = 0;
  Mutex mu;
  int64_t done = 0;  // guarded by mu
  const auto work = [&] {
    for (int64_t i; !stop.stop_requested() && (i = next.fetch_add(1)) < total;) {
      looks_[i].status = CatchExceptions(
          "read", [&] { return LookAt(data_, SplitOf(i), IndexOf(i), &looks_[i]); });
      MutexLock lock(&mu);
      if (++done % kProgressSamples == 0) on_progress(done);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < std::max(options_.threads, 1); ++i) {
    threads.push_back(ComputeBudget::StartThread(absl::StrCat("inspect-", i),
                                                 /*intra_op_threads=*/1, work, kNiceness));
  }
  for (std::thread& thread : threads) thread.join();
  if (stop.stop_requested()) {
    return absl::CancelledError(
        absl::StrCat("inspection was stopped after ", done, " of ", total, " images"));
  }
  return absl::OkStatus();
}

void Inspector::DescribeSource(DataReport* report) const {
  const std::vector<int64_t> train = ClassCounts(data_, DataSplit::kTrain);
  const std::vector<int64_t> validation = ClassCounts(data_, DataSplit::kValidation);
  for (size_t i = 0; i < train.size(); ++i) {
    vit::v1::ClassReport* of_class = report->add_classes();
    of_class->set_name(data_.class_names()[i]);
    of_class->set_train(train[i]);
    of_class->set_validation(validation[i]);
  }
  for (const std::string& note : data_.facts().notes) report->add_notes(note);
  for (const PassedOver& files : data_.facts().passed_over) {
    vit::v1::PassedOverFiles* passed_over = report->add_passed_over();
    passed_over->set_kind(files.kind);
    passed_over->set_count(files.count);
    passed_over->set_example(Shown(files.example));
  }
  report->set_train_samples(train_);
  report->set_validation_samples(static_cast<int64_t>(looks_.size()) - train_);
}

void Inspector::Measure(DataReport* report) const {
  std::array<double, 3> mean{}, square{};
  std::vector<int64_t> by_area, train;
  for (int64_t i = 0; i < static_cast<int64_t>(looks_.size()); ++i) {
    if (!looks_[i].ok()) continue;
    by_area.push_back(i);
    if (i < train_) train.push_back(i);
  }
  for (const int64_t i : train) {
    for (size_t c = 0; c < 3; ++c) {
      mean[c] += looks_[i].mean[c] / static_cast<double>(train.size());
      square[c] += looks_[i].square[c] / static_cast<double>(train.size());
    }
  }
  for (size_t c = 0; c < 3 && !train.empty(); ++c) {
    report->add_mean(mean[c]);
    report->add_std(std::sqrt(std::max(0.0, square[c] - mean[c] * mean[c])));
  }
  if (by_area.empty()) return;
  const auto area = [&](int64_t i) { return int64_t{looks_[i].width} * looks_[i].height; };
  std::stable_sort(by_area.begin(), by_area.end(),
                   [&](int64_t a, int64_t b) { return area(a) < area(b); });
  const auto set = [&](int64_t i, vit::v1::PictureSize* size) {
    size->set_width(looks_[i].width);
    size->set_height(looks_[i].height);
  };
  set(by_area.front(), report->mutable_smallest());
  set(by_area[by_area.size() / 2], report->mutable_median());
  set(by_area.back(), report->mutable_largest());
}

void Inspector::ListUnreadable(DataReport* report) const {
  int64_t count = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(looks_.size()); ++i) {
    if (looks_[i].ok() || ++count > options_.most_named) continue;
    vit::v1::UnreadablePicture* image = report->add_unreadable();
    image->set_name(NameOf(i));
    image->set_reason(std::string(looks_[i].status.message()));
  }
  report->set_unreadable_count(count);
}

void Inspector::NoteRefusals(DataReport* report) const {
  if (data_.class_names().size() == 1) {
    report->add_notes(absl::StrCat("a run refuses this: only one class, '",
                                   data_.class_names().front(), "'; expected two or more"));
  }
  PerSplit<int64_t> bad;
  for (int64_t i = 0; i < static_cast<int64_t>(looks_.size()); ++i) {
    if (!looks_[i].ok()) ++bad[SplitOf(i)];
  }
  for (const DataSplit split : {DataSplit::kTrain, DataSplit::kValidation}) {
    const int64_t size = data_.size(split);
    if (static_cast<double>(bad[split]) <= options_.max_bad_fraction * static_cast<double>(size)) {
      continue;
    }
    report->add_notes(
        absl::StrFormat("a run fails with this: %d of %d %s images cannot be read, more than "
                        "data.max_bad_fraction (%g) allows",
                        bad[split], size, split == DataSplit::kTrain ? "training" : "validation",
                        options_.max_bad_fraction));
  }
}

template <typename Key>
std::vector<std::vector<int64_t>> Inspector::GroupBy(Key key) const {
  std::vector<int64_t> order;
  for (int64_t i = 0; i < static_cast<int64_t>(looks_.size()); ++i) {
    if (looks_[i].ok()) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return key(looks_[a]) < key(looks_[b]); });
  std::vector<std::vector<int64_t>> groups;
  for (size_t begin = 0, end; begin < order.size(); begin = end) {
    end = begin + 1;
    while (end < order.size() && key(looks_[order[end]]) == key(looks_[order[begin]])) ++end;
    if (end - begin > 1) groups.emplace_back(order.begin() + begin, order.begin() + end);
  }
  // In the order of the data, not of the keys.
  std::sort(groups.begin(), groups.end());
  return groups;
}

void Inspector::AddGroup(const std::vector<int64_t>& members, bool exact, std::set<int64_t>* leaked,
                         DataReport* report) const {
  const int64_t in_train =
      std::count_if(members.begin(), members.end(), [&](int64_t i) { return i < train_; });
  const bool across_splits = in_train > 0 && in_train < static_cast<int64_t>(members.size());
  const bool across_classes = std::any_of(members.begin(), members.end(), [&](int64_t i) {
    return LabelOf(i) != LabelOf(members.front());
  });
  if (exact) {
    report->set_duplicates(report->duplicates() + static_cast<int64_t>(members.size()) - 1);
  } else {
    report->set_near_duplicates(report->near_duplicates() + Contents(members) - 1);
  }
  if (across_splits) leaked->insert(members.begin() + in_train, members.end());
  if (exact && across_classes) {
    report->set_contradictions(report->contradictions() + static_cast<int64_t>(members.size()));
  }
  if (report->groups_size() >= options_.most_named) return;
  DuplicateGroup* group = report->add_groups();
  group->set_exact(exact);
  group->set_across_splits(across_splits);
  group->set_across_classes(across_classes);
  group->set_size(static_cast<int64_t>(members.size()));
  for (size_t i = 0; i < members.size() && i < kNamesPerGroup; ++i) {
    group->add_names(NameOf(members[i]));
  }
}

int64_t Inspector::Contents(const std::vector<int64_t>& members) const {
  std::set<uint64_t> contents;
  for (const int64_t i : members) contents.insert(looks_[i].content);
  return static_cast<int64_t>(contents.size());
}

std::vector<std::vector<int64_t>> Inspector::SplitByColour(
    const std::vector<int64_t>& group) const {
  constexpr double kMostDifference = 0.03;  // of a channel's mean
  constexpr size_t kPartsTried = 64;        // limits the work in the worst case
  const auto alike = [&](const Look& a, const Look& b) {
    for (size_t c = 0; c < 3; ++c) {
      if (std::abs(a.mean[c] - b.mean[c]) > kMostDifference) return false;
    }
    return true;
  };
  std::vector<std::vector<int64_t>> parts;
  for (const int64_t i : group) {
    size_t part = parts.size() - std::min(parts.size(), kPartsTried);
    while (part < parts.size() && !alike(looks_[i], looks_[parts[part].front()])) ++part;
    if (part == parts.size()) parts.emplace_back();
    parts[part].push_back(i);
  }
  return parts;
}

void Inspector::FindCopies(DataReport* report) const {
  std::set<int64_t> leaked;
  for (const std::vector<int64_t>& group : GroupBy([](const Look& look) { return look.content; })) {
    AddGroup(group, /*exact=*/true, &leaked, report);
  }
  for (const std::vector<int64_t>& group : GroupBy([](const Look& look) { return look.outline; })) {
    // Plain surfaces have no outline.
    if (looks_[group.front()].outline == std::array<uint64_t, 2>{}) continue;
    for (const std::vector<int64_t>& alike : SplitByColour(group)) {
      if (Contents(alike) > 1) AddGroup(alike, /*exact=*/false, &leaked, report);
    }
  }
  report->set_leaked(static_cast<int64_t>(leaked.size()));
}

DataReport Inspector::Report() const {
  DataReport report;
  DescribeSource(&report);
  Measure(&report);
  ListUnreadable(&report);
  NoteRefusals(&report);
  FindCopies(&report);
  return report;
}

}  // namespace

absl::StatusOr<DataReport> InspectData(const DataSet& data, const InspectOptions& options,
                                       const std::stop_token& stop,
                                       const std::function<void(int64_t samples)>& on_progress) {
  Inspector inspector(data, options);
  VIT_RETURN_IF_ERROR(inspector.LookAtAll(stop, on_progress));
  return inspector.Report();
}

}  // namespace vit
