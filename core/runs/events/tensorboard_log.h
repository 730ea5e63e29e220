// A run's history as TensorBoard reads it.
#ifndef VIT_CORE_RUNS_EVENTS_TENSORBOARD_LOG_H_
#define VIT_CORE_RUNS_EVENTS_TENSORBOARD_LOG_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/file.h"
#include "vit/v1/training.pb.h"

namespace vit {

// CRC-32C (Castagnoli; RFC 3720, appendix B.4).
uint32_t Crc32c(absl::string_view data);

// Writes scalars train/loss, validation/f1 and so on to a new file events.out.tfevents.* for each
// start of the run. Records are in TFRecord's format: length, its masked CRC, data, its masked CRC
// (tensorflow/core/lib/io/record_writer.h). Not thread-safe.
class TensorBoardLog {
 public:
  // Creates a new file in `directory`. TensorBoard ignores what earlier files hold after `step`,
  // since the run continues from there.
  static absl::StatusOr<std::unique_ptr<TensorBoardLog>> Start(
      const std::filesystem::path& directory, int64_t step, absl::Time now);

  // The kernel has the point when this returns. After an error, writes nothing more and returns OK,
  // as what follows a torn record cannot be read.
  absl::Status Add(const vit::v1::MetricPoint& point);

 private:
  explicit TensorBoardLog(FileWriter file) : file_(std::move(file)) {}
  absl::Status Write(const std::string& record);

  FileWriter file_;
  bool failed_ = false;
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_EVENTS_TENSORBOARD_LOG_H_
