// A line that shows how many of some things are done.
#ifndef VIT_CLIENT_VITCTL_VIEW_COUNT_PROGRESS_H_
#define VIT_CLIENT_VITCTL_VIEW_COUNT_PROGRESS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/vitctl/session.h"

namespace vit {

// "█████░░░  1,204 of 3,000 images  301 images/s  6s left", in at most `columns - 1` columns.
std::string CountProgressText(int64_t done, int64_t total, absl::string_view things,
                              absl::Duration elapsed, int columns, bool utf8);

// Draws the line on standard error if that is a terminal, at most ten times a second.
class CountProgress {
 public:
  // `show`: false draws nothing.
  CountProgress(const Session& session, int64_t total, std::string things, bool show);
  ~CountProgress() { Clear(); }
  CountProgress(const CountProgress&) = delete;
  CountProgress& operator=(const CountProgress&) = delete;

  void Show(int64_t done);
  // Removes the line, before something else is printed.
  void Clear();

 private:
  const Session& session_;
  const int64_t total_;
  const std::string things_;
  const bool show_;
  const absl::Time start_;
  absl::Time drawn_ = absl::InfinitePast();
};

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_VIEW_COUNT_PROGRESS_H_
