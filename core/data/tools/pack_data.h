// Packs a source into one file, for packed:PATH.
#ifndef VIT_CORE_DATA_TOOLS_PACK_DATA_H_
#define VIT_CORE_DATA_TOOLS_PACK_DATA_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/data/dataset.h"

namespace vit {

struct PackOptions {
  // An image whose longer side has more pixels is resized to this, turned upright and encoded as
  // JPEG; all others are stored as their source has them. 0 stores all as they are.
  int max_side = 0;
  int jpeg_quality = 95;  // of resized images, 1 to 100
  ImageLimits limits;
  // After this many images (or 64 MiB), written data is made durable: an interrupted attempt loses
  // less than that.
  int64_t batch_samples = 4096;
};

struct PackProgress {
  int64_t samples = 0;                        // done, including those of an earlier attempt
  int64_t total = 0;                          // samples to pack
  int64_t bytes = 0;                          // of the file so far
  int64_t resumed_from = 0;                   // samples that an earlier attempt had done
  int64_t unreadable = 0;                     // stored as they are, or not at all, by this attempt
  std::vector<std::string> first_unreadable;  // at most ten: "NAME (why)"
};

// Writes every sample of `data`, in order, to `file`. Until the file is complete it is
// FILE.partial, with FILE.partial.log beside it: if an attempt ends early for any reason, the next
// one with the same data and options continues it. Calls `on_progress` from time to time, and at
// the end. ALREADY_EXISTS if `file` exists or is already being packed; CANCELLED once `stop` is
// requested; otherwise the system's error, such as a full disk.
absl::Status PackData(const DataSet& data, const std::filesystem::path& file,
                      const PackOptions& options, const std::stop_token& stop,
                      const std::function<void(const PackProgress&)>& on_progress);

}  // namespace vit

#endif  // VIT_CORE_DATA_TOOLS_PACK_DATA_H_
