#include "client/vitctl/view/count_progress.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/vitctl/view/progress_view.h"
#include "client/vitctl/view/terminal.h"
#include "client/vitctl/view/text.h"

namespace vit {
namespace {

constexpr absl::Duration kPeriod = absl::Milliseconds(100);
constexpr int kBarWidth = 20;
constexpr int kColumns = 80;  // if standard output, whose width is known, is no terminal

}  // namespace

std::string CountProgressText(int64_t done, int64_t total, absl::string_view things,
                              absl::Duration elapsed, int columns, bool utf8) {
  std::string text = absl::StrCat(FormatCount(done), " of ", FormatCount(total), " ", things);
  const double seconds = absl::ToDoubleSeconds(elapsed);
  if (done > 0 && seconds > 0) {
    const double speed = static_cast<double>(done) / seconds;
    absl::StrAppend(&text, "  ", FormatSpeed(speed), " ", things, "/s  ",
                    FormatSeconds(absl::Seconds(static_cast<double>(total - done) / speed)),
                    " left");
  }
  const double ratio = total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total);
  const std::string bar = absl::StrCat(ProgressBar(ratio, kBarWidth, utf8), "  ", text);
  return DisplayWidth(bar) < columns ? bar : Ellipsize(text, std::max(columns - 1, 1), utf8);
}

CountProgress::CountProgress(const Session& session, int64_t total, std::string things, bool show)
    : session_(session),
      total_(total),
      things_(std::move(things)),
      show_(show && session.terminal().err_is_tty),
      start_(absl::Now()) {}

void CountProgress::Show(int64_t done) {
  if (!show_) return;
  const absl::Time now = absl::Now();
  if (now - drawn_ < kPeriod) return;
  drawn_ = now;
  const Terminal& terminal = session_.terminal();
  const int columns = terminal.columns();
  session_.err() << "\r"
                 << CountProgressText(done, total_, things_, now - start_,
                                      columns == 0 ? kColumns : columns, terminal.utf8)
                 << "\x1B[K" << std::flush;
}

void CountProgress::Clear() {
  if (drawn_ == absl::InfinitePast()) return;
  session_.err() << "\r\x1B[K" << std::flush;
  drawn_ = absl::InfinitePast();
}

}  // namespace vit
