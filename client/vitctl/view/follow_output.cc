#include "client/vitctl/view/follow_output.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/vitctl/view/progress_view.h"
#include "client/vitctl/view/run_text.h"
#include "client/vitctl/view/text.h"
#include "proto/time.h"

namespace vit {
namespace {

using ::vit::v1::MetricPoint;
using ::vit::v1::Run;
using ::vit::v1::WatchResponse;

// Prints remarks on the connection if they cannot be redrawn: one when it is lost, one when it is
// back.
class ConnectionNotes {
 public:
  explicit ConnectionNotes(const Session& session) : session_(session) {}
  void Notice(absl::string_view text) {
    if (lost_ != text.empty()) return;
    lost_ = !text.empty();
    session_.Note(lost_ ? text : "connected again");
  }

 private:
  const Session& session_;
  bool lost_ = false;
};

class JsonLines final : public FollowOutput {
 public:
  explicit JsonLines(const Session& session) : session_(session), notes_(session) {}
  void Update(const WatchResponse& update) override {
    session_.out() << ToJson(update, /*pretty=*/false) << std::endl;
  }
  void Notice(absl::string_view text) override { notes_.Notice(text); }

 private:
  const Session& session_;
  ConnectionNotes notes_;
};

// One line for each new point, state, and best checkpoint.
class PlainLines final : public FollowOutput {
 public:
  explicit PlainLines(const Session& session) : session_(session), notes_(session) {}

  void Update(const WatchResponse& update) override {
    const Run& run = update.run();
    if (!IsFinal(run.state())) TellState(run);
    for (int i = 0; i < update.points_size(); ++i) {
      const MetricPoint& point = update.points(i);
      Line(PointText(run, point, /*newest=*/i + 1 == update.points_size()),
           point.has_time() ? FromProto(point.time()) : absl::Now());
    }
    if (run.phase() != last_.phase() && run.phase() != "training" && !PhaseText(run).empty() &&
        !IsFinal(run.state())) {
      Line(Printable(run.phase()));
    }
    const auto& best = run.best_checkpoint();
    if (run.has_best_checkpoint() && best.step() != last_.best_checkpoint().step()) {
      Line(absl::StrCat("new best checkpoint: ", BestText(run)));
    }
    // The end comes after what led to it, which the same message may bring.
    if (IsFinal(run.state())) TellState(run);
    last_ = run;
  }

  void Notice(absl::string_view text) override { notes_.Notice(text); }

 private:
  void TellState(const Run& run) {
    if (run.state() == last_.state()) return;
    Line(absl::StrCat("run ", RunTitle(run), " ", StateName(run.state()),
                      run.message().empty() ? "" : absl::StrCat(": ", Printable(run.message()))));
  }

  void Line(absl::string_view text, absl::Time time = absl::Now()) {
    session_.out() << FormatClock(time) << "  " << text << std::endl;
  }

  // The time left belongs to the newest point only: a first message brings all the points so far.
  static std::string PointText(const Run& run, const MetricPoint& point, bool newest) {
    std::string line = absl::StrCat("step ", point.step());
    if (run.total_steps() > 0) absl::StrAppend(&line, "/", run.total_steps());
    absl::StrAppend(&line, "  epoch ", FormatEpoch(point.epoch()), "  ", SplitName(point.split()),
                    " loss ", FormatLoss(point.loss()), "  accuracy ",
                    FormatPercent(point.accuracy()));
    if (point.split() == vit::v1::SPLIT_TRAIN) {
      absl::StrAppend(&line, "  lr ", FormatRate(point.learning_rate()));
      if (point.images_per_second() > 0) {
        absl::StrAppend(&line, "  ", FormatSpeed(point.images_per_second()), " images/s");
      }
      if (newest && run.has_time_left()) {
        absl::StrAppend(&line, "  left ", FormatSeconds(FromProto(run.time_left())));
      }
    }
    return line;
  }

  const Session& session_;
  ConnectionNotes notes_;
  Run last_;
};

class LiveView final : public FollowOutput {
 public:
  explicit LiveView(const Session& session) : session_(session) { session_.out() << "\x1b[?25l"; }
  ~LiveView() override { Close(); }

  void Update(const WatchResponse& update) override {
    for (const MetricPoint& point : update.points()) curves_.Add(point);
    run_ = update.run();
    received_ = absl::Now();
    have_run_ = true;
    Draw();
  }
  void Tick() override { Draw(); }
  absl::Duration tick() const override { return absl::Milliseconds(500); }
  void Notice(absl::string_view text) override {
    notice_ = std::string(text);
    Draw();
  }
  void Close() override {
    if (closed_) return;
    closed_ = true;
    // The line below the view may hold the "^C" that the terminal echoed.
    session_.out() << "\r\x1b[K\x1b[?25h" << std::flush;
  }

 private:
  void Draw() {
    if (!have_run_ || closed_) return;
    FrameOptions options;
    options.columns = session_.terminal().columns();
    options.utf8 = session_.terminal().utf8;
    options.color = session_.terminal().color;
    options.now = absl::Now();
    options.received = received_;
    options.notice = notice_;
    const std::vector<std::string> lines = RenderFrame(run_, curves_, options);
    // A terminal that became narrower has wrapped the old lines: they take more rows now.
    int rows = 0;
    for (const int width : drawn_widths_) {
      rows += std::max(1, (width + options.columns - 1) / options.columns);
    }
    std::string out = "\r";
    if (rows > 0) absl::StrAppend(&out, "\x1b[", rows, "A");
    drawn_widths_.clear();
    options.color = false;
    const std::vector<std::string> plain = RenderFrame(run_, curves_, options);
    for (size_t i = 0; i < lines.size(); ++i) {
      absl::StrAppend(&out, lines[i], "\x1b[K\n");
      drawn_widths_.push_back(DisplayWidth(plain[i]));
    }
    absl::StrAppend(&out, "\x1b[J");
    session_.out() << out << std::flush;
  }

  const Session& session_;
  Run run_;
  Curves curves_;
  absl::Time received_;
  std::string notice_;
  std::vector<int> drawn_widths_;  // of the lines on the screen
  bool have_run_ = false;
  bool closed_ = false;
};

}  // namespace

std::unique_ptr<FollowOutput> MakeFollowOutput(const Session& session) {
  if (session.json()) return std::make_unique<JsonLines>(session);
  if (session.terminal().out_is_tty) return std::make_unique<LiveView>(session);
  return std::make_unique<PlainLines>(session);
}

}  // namespace vit
