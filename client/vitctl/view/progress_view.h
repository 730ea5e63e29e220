// The live view of a run: a few lines that are drawn over and over in place.
#ifndef VIT_CLIENT_VITCTL_VIEW_PROGRESS_VIEW_H_
#define VIT_CLIENT_VITCTL_VIEW_PROGRESS_VIEW_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "vit/v1/training.pb.h"

namespace vit {

struct FrameOptions {
  int columns = 80;
  bool utf8 = false;
  bool color = false;
  absl::Time now;
  absl::Time received;  // when `run` came, so that the time left counts down between updates
  std::string notice;   // a last line, such as that the connection is lost; may be empty
};

// The curves beside the numbers, if there is room for them.
struct Curves {
  std::vector<double> train_loss;
  std::vector<double> validation_accuracy;

  void Add(const vit::v1::MetricPoint& point);
};

// One frame, as lines without newlines, none wider than `options.columns - 1` (a terminal wraps
// after the last column). A pure function.
std::vector<std::string> RenderFrame(const vit::v1::Run& run, const Curves& curves,
                                     const FrameOptions& options);

// `ratio` of `width` columns: eighths of blocks in UTF-8, '#' and '-' in ASCII.
std::string ProgressBar(double ratio, int width, bool utf8);

// All of `values` as block characters, scaled to their own range; if there are more than `width`,
// each character shows the mean of its share.
std::string Sparkline(const std::vector<double>& values, int width);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_VIEW_PROGRESS_VIEW_H_
