// Numbers, durations and times as people read them.
#ifndef VIT_CLIENT_VITCTL_VIEW_TEXT_H_
#define VIT_CLIENT_VITCTL_VIEW_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace vit {

std::string FormatCount(int64_t n);            // 1,234,567
std::string FormatLarge(int64_t n);            // 5.72 M
std::string FormatBytes(int64_t bytes);        // 1.2 GiB
std::string FormatPercent(double ratio);       // 71.4% for 0.714
std::string FormatLoss(double loss);           // 0.8312
std::string FormatRate(double learning_rate);  // 8.2e-04
std::string FormatEpoch(double epoch);         // 4.3, or 4 if it is whole
std::string FormatSpeed(double per_second);    // 1,204 or 3.1
std::string FormatSeconds(absl::Duration d);   // 45s, 4m 08s, 1h 02m, 3d 04h
std::string FormatAgo(absl::Duration age);     // just now, 32 min ago, 3 days ago
std::string FormatDateTime(absl::Time time);   // 2026-01-31 03:12:09, local
std::string FormatClock(absl::Time time);      // 03:12:09, local

// "30s", "1m30s", "500ms", or a bare number of seconds; above 0.
absl::StatusOr<absl::Duration> ParseTimeout(absl::string_view text);

// `text` in lines of at most `width` columns, each after `indent`, broken between words.
std::string Wrap(absl::string_view text, int width, absl::string_view indent);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_VIEW_TEXT_H_
