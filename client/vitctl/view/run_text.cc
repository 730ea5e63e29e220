#include "client/vitctl/view/run_text.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/vitctl/view/text.h"
#include "proto/field_names.h"
#include "proto/time.h"

namespace vit {

using ::vit::v1::Run;
using ::vit::v1::RunState;

std::string StateName(RunState state) {
  return std::string(absl::StripPrefix(vit::v1::RunState_Name(state), "RUN_STATE_"));
}

Style StateStyle(RunState state) {
  switch (state) {
    case vit::v1::RUN_STATE_RUNNING:
      return Style::kCyan;
    case vit::v1::RUN_STATE_SUCCEEDED:
      return Style::kGreen;
    case vit::v1::RUN_STATE_FAILED:
      return Style::kRed;
    case vit::v1::RUN_STATE_STOPPING:
    case vit::v1::RUN_STATE_STOPPED:
    case vit::v1::RUN_STATE_INTERRUPTED:
      return Style::kYellow;
    default:
      return Style::kPlain;
  }
}

std::string SplitName(vit::v1::Split split) {
  const auto* value = vit::v1::Split_descriptor()->FindValueByNumber(split);
  return value == nullptr ? absl::StrCat(split) : ShortEnumName(value);
}

bool IsFinal(RunState state) {
  return state == vit::v1::RUN_STATE_SUCCEEDED || state == vit::v1::RUN_STATE_FAILED ||
         state == vit::v1::RUN_STATE_STOPPED;
}

std::string RunTitle(const Run& run) {
  if (run.name().empty()) return run.id();
  return absl::StrCat(run.id(), " (", Printable(run.name()), ")");
}

std::string PhaseText(const Run& run) {
  if (run.state() == vit::v1::RUN_STATE_QUEUED) {
    return run.queue_position() > 0 ? absl::StrCat("place ", run.queue_position(), " in the queue")
                                    : "";
  }
  if (run.state() != vit::v1::RUN_STATE_RUNNING && run.state() != vit::v1::RUN_STATE_STOPPING) {
    return "";
  }
  if (run.phase_progress() <= 0) return Printable(run.phase());
  return absl::StrCat(Printable(run.phase()), " ",
                      static_cast<int>(std::clamp(run.phase_progress(), 0.0, 1.0) * 100), "%");
}

double ProgressRatio(const Run& run) {
  if (run.state() == vit::v1::RUN_STATE_SUCCEEDED) return 1;
  if (run.total_steps() <= 0) return 0;
  return std::clamp(static_cast<double>(run.step()) / static_cast<double>(run.total_steps()), 0.0,
                    1.0);
}

std::optional<absl::Duration> Elapsed(const Run& run, absl::Time now) {
  if (!run.has_start_time()) return std::nullopt;
  const absl::Time end = run.has_end_time() ? FromProto(run.end_time()) : now;
  return std::max(absl::ZeroDuration(), end - FromProto(run.start_time()));
}

std::string TopKName(int k) { return k > 0 ? absl::StrCat("top-", k) : "top-k"; }

std::string BadImagesText(const vit::v1::Run& run) {
  std::vector<std::string> parts;
  const auto add = [&](int64_t bad, int64_t size, absl::string_view split) {
    if (bad == 0) return;
    parts.push_back(absl::StrCat(bad == size ? "all " : "", FormatCount(bad),
                                 size > bad ? absl::StrCat(" of ", FormatCount(size)) : "", " ",
                                 split, bad == 1 && size <= 1 ? " image" : " images"));
  };
  add(run.bad_images(), run.train_size(), "training");
  add(run.bad_validation_images(), run.validation_size(), "validation");
  return parts.empty() ? "" : absl::StrCat(absl::StrJoin(parts, " and "), " could not be read");
}

std::string BestText(const Run& run) {
  if (!run.has_best_checkpoint()) return "";
  const vit::v1::CheckpointInfo& best = run.best_checkpoint();
  const std::string step = absl::StrCat("step ", FormatCount(best.step()));
  if (!best.has_accuracy()) return step;
  return absl::StrCat(FormatPercent(best.accuracy()), " at ", step);
}

}  // namespace vit
