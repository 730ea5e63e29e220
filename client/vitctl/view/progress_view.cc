#include "client/vitctl/view/progress_view.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "client/vitctl/view/run_text.h"
#include "client/vitctl/view/terminal.h"
#include "client/vitctl/view/text.h"
#include "proto/time.h"

namespace vit {
namespace {

using ::vit::v1::MetricPoint;
using ::vit::v1::Run;

// A part of a line; those with the highest `drop` are left out first if the line is too long.
struct Segment {
  std::string text;
  Style style = Style::kPlain;
  int drop = 0;
};

constexpr int kGap = 2;

int WidthOf(const std::vector<Segment>& segments) {
  int width = -kGap;
  for (const Segment& segment : segments) width += DisplayWidth(segment.text) + kGap;
  return std::max(0, width);
}

std::string JoinLine(std::vector<Segment> segments, int width, const FrameOptions& options) {
  std::erase_if(segments, [](const Segment& s) { return s.text.empty(); });
  while (WidthOf(segments) > width) {
    auto victim = std::max_element(segments.begin(), segments.end(),
                                   [](auto& a, auto& b) { return a.drop < b.drop; });
    if (victim->drop == 0) break;
    segments.erase(victim);
  }
  std::string line;
  int used = 0;
  for (const Segment& segment : segments) {
    const int gap = used == 0 ? 0 : kGap;
    const int room = width - used - gap;
    if (room <= 0) break;
    const std::string text = Ellipsize(segment.text, room, options.utf8);
    absl::StrAppend(&line, std::string(gap, ' '), Paint(text, segment.style, options.color));
    used += gap + DisplayWidth(text);
  }
  return line;
}

std::vector<Segment> ProgressSegments(const Run& run, int width, const FrameOptions& options) {
  const double ratio = ProgressRatio(run);
  std::vector<Segment> after = {{absl::StrCat(static_cast<int>(ratio * 100), "%"), Style::kBold}};
  if (run.total_steps() > 0) {
    after.push_back(
        {absl::StrCat("step ", FormatCount(run.step()), "/", FormatCount(run.total_steps())),
         Style::kPlain, 2});
  }
  if (run.total_epochs() > 0) {
    after.push_back(
        {absl::StrCat("epoch ", FormatEpoch(run.epoch()), "/", FormatEpoch(run.total_epochs())),
         Style::kPlain, 1});
  }
  constexpr int kShortest = 10, kLongest = 100;
  while (after.size() > 1 && width - WidthOf(after) - kGap < kShortest) {
    after.erase(std::max_element(after.begin(), after.end(),
                                 [](auto& a, auto& b) { return a.drop < b.drop; }));
  }
  const int bar = std::clamp(width - WidthOf(after) - kGap, kShortest, kLongest);
  std::vector<Segment> segments = {
      {ProgressBar(ratio, bar, options.utf8), StateStyle(run.state())}};
  segments.insert(segments.end(), after.begin(), after.end());
  return segments;
}

std::vector<Segment> PointSegments(absl::string_view label, const MetricPoint& point, bool train) {
  std::vector<Segment> segments = {{absl::StrCat(label), Style::kDim},
                                   {absl::StrCat("loss ", FormatLoss(point.loss()))},
                                   {absl::StrCat("accuracy ", FormatPercent(point.accuracy())),
                                    train ? Style::kPlain : Style::kBold}};
  if (train) {
    segments.push_back({absl::StrCat("lr ", FormatRate(point.learning_rate())), Style::kPlain, 1});
    if (point.grad_norm() > 0) {
      segments.push_back(
          {absl::StrCat("grad norm ", FormatLoss(point.grad_norm())), Style::kPlain, 3});
    }
  } else {
    segments.push_back({absl::StrCat("at step ", FormatCount(point.step())), Style::kDim, 2});
  }
  return segments;
}

// Adds a curve to a line that has room for one, at a fixed column so that the curves stand one
// above the other.
void AddCurve(const std::vector<double>& values, int width, const FrameOptions& options,
              std::vector<Segment>* segments) {
  constexpr int kColumn = 72, kShortest = 20, kLongest = 80;
  const int used = WidthOf(*segments);
  const int room = width - kColumn;
  if (!options.utf8 || values.size() < 2 || room < kShortest || used + kGap > kColumn) return;
  segments->push_back({absl::StrCat(std::string(kColumn - used - kGap, ' '),
                                    Sparkline(values, std::min(room, kLongest))),
                       Style::kCyan, 9});
}

std::vector<Segment> SpeedSegments(const Run& run, const FrameOptions& options) {
  std::vector<Segment> segments;
  if (run.images_per_second() > 0) {
    segments.push_back(
        {absl::StrCat(FormatSpeed(run.images_per_second()), " images/s"), Style::kPlain, 1});
  }
  if (const auto elapsed = Elapsed(run, options.now)) {
    segments.push_back({absl::StrCat("elapsed ", FormatSeconds(*elapsed)), Style::kPlain, 2});
  }
  if (run.has_time_left() && !IsFinal(run.state())) {
    const absl::Duration left = FromProto(run.time_left()) - (options.now - options.received);
    segments.push_back(
        {absl::StrCat("left ", FormatSeconds(std::max(left, absl::ZeroDuration()))), Style::kBold});
  }
  if (const std::string best = BestText(run); !best.empty()) {
    segments.push_back({absl::StrCat("best ", best), Style::kGreen, 3});
  }
  return segments;
}

}  // namespace

void Curves::Add(const MetricPoint& point) {
  if (point.split() == vit::v1::SPLIT_TRAIN) train_loss.push_back(point.loss());
  if (point.split() == vit::v1::SPLIT_VALIDATION) validation_accuracy.push_back(point.accuracy());
}

std::string ProgressBar(double ratio, int width, bool utf8) {
  ratio = std::clamp(ratio, 0.0, 1.0);
  std::string bar;
  if (!utf8) {
    const int full = static_cast<int>(ratio * width);
    return absl::StrCat(std::string(full, '#'), std::string(width - full, '-'));
  }
  static constexpr std::array<const char*, 8> kEighths = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(ratio * width * 8);
  for (int i = 0; i < eighths / 8; ++i) bar += "█";
  const bool partial = eighths % 8 != 0;
  bar += kEighths[eighths % 8];
  for (int i = eighths / 8 + (partial ? 1 : 0); i < width; ++i) bar += "░";
  return bar;
}

std::string Sparkline(const std::vector<double>& values, int width) {
  static constexpr std::array<const char*, 8> kLevels = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const size_t count = std::min(values.size(), static_cast<size_t>(std::max(width, 0)));
  std::vector<double> levels;
  double low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i * values.size() / count, end = (i + 1) * values.size() / count;
    const double mean = std::accumulate(values.begin() + static_cast<ptrdiff_t>(begin),
                                        values.begin() + static_cast<ptrdiff_t>(end), 0.0) /
                        static_cast<double>(end - begin);
    levels.push_back(mean);
    if (!std::isfinite(mean)) continue;
    low = std::min(low, mean);
    high = std::max(high, mean);
  }
  std::string line;
  for (const double level : levels) {
    if (!std::isfinite(level)) {
      line += ' ';
    } else {
      line += kLevels[static_cast<size_t>(
          std::lround(high > low ? (level - low) / (high - low) * 7 : 0))];
    }
  }
  return line;
}

std::vector<std::string> RenderFrame(const Run& run, const Curves& curves,
                                     const FrameOptions& options) {
  const int width = std::max(1, options.columns - 1);
  std::vector<std::string> lines;
  const auto add = [&](std::vector<Segment> segments) {
    if (std::string line = JoinLine(std::move(segments), width, options); !line.empty()) {
      lines.push_back(std::move(line));
    }
  };
  add({{absl::StrCat("run ", run.id()), Style::kBold},
       {StateName(run.state()), StateStyle(run.state())},
       {PhaseText(run), Style::kPlain},
       {Printable(run.name()), Style::kPlain, 1}});
  add(ProgressSegments(run, width, options));
  if (run.has_last_train()) {
    auto segments = PointSegments("train     ", run.last_train(), true);
    AddCurve(curves.train_loss, width, options, &segments);
    add(std::move(segments));
  }
  if (run.has_last_validation()) {
    auto segments = PointSegments("validation", run.last_validation(), false);
    AddCurve(curves.validation_accuracy, width, options, &segments);
    add(std::move(segments));
  }
  add(SpeedSegments(run, options));
  if (const std::string bad = BadImagesText(run); !bad.empty()) add({{bad, Style::kYellow}});
  if (!run.message().empty()) add({{Printable(run.message()), StateStyle(run.state())}});
  if (!options.notice.empty()) add({{options.notice, Style::kYellow}});
  return lines;
}

}  // namespace vit
