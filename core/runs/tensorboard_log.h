// A run's history as TensorBoard reads it.
#ifndef VIT_CORE_RUNS_TENSORBOARD_LOG_H_
#define VIT_CORE_RUNS_TENSORBOARD_LOG_H_

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
// start of the run. Records are TFRecord's: length, its masked CRC, data, its masked CRC
// (tensorflow/core/lib/io/record_writer.h). Not thread-safe.
class TensorBoardLog {
 public:
  // A new file in `directory`. TensorBoard takes what earlier ones say after `step` as void, since
  // the run goes on from there.
  static absl::StatusOr<std::unique_ptr<TensorBoardLog>> Start(
      const std::filesystem::path& directory, int64_t step, absl::Time now);

  // The kernel has it when this returns. After an error nothing more is written, as what follows a
  // torn record cannot be read: OK.
  absl::Status Add(const vit::v1::MetricPoint& point);

 private:
  explicit TensorBoardLog(FileWriter file) : file_(std::move(file)) {}
  absl::Status Write(const std::string& record);

  FileWriter file_;
  bool failed_ = false;
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_TENSORBOARD_LOG_H_
