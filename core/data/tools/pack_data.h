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
  // A picture whose longer side has more pixels is resized to so many, turned upright and encoded
  // as JPEG; every other one is stored as its source has it. 0 stores all as they are.
  int max_side = 0;
  int jpeg_quality = 95;  // of those that are resized, 1 to 100
  ImageLimits limits;
  // After so many pictures (or 64 MiB) what is written is made durable: an attempt that is cut off
  // loses less than that.
  int64_t batch_samples = 4096;
};

struct PackProgress {
  int64_t samples = 0;                        // done, those of an earlier attempt included
  int64_t total = 0;                          // samples to be done
  int64_t bytes = 0;                          // of the file so far
  int64_t resumed_from = 0;                   // samples that an earlier attempt had done
  int64_t unreadable = 0;                     // stored as they are, or not at all, by this attempt
  std::vector<std::string> first_unreadable;  // ten at most: "NAME (why)"
};

// Writes every sample of `data`, in its order, to `file`. Until the file is whole it is
// FILE.partial, with FILE.partial.log beside it: an attempt that ended early, however it ended, is
// continued by the next one with the same data and options. `on_progress` is called now and then,
// and at the end. ALREADY_EXISTS where `file` exists or is being packed by another; CANCELLED once
// `stop` is requested; else the system's error, such as a full disk.
absl::Status PackData(const DataSet& data, const std::filesystem::path& file,
                      const PackOptions& options, const std::stop_token& stop,
                      const std::function<void(const PackProgress&)>& on_progress);

}  // namespace vit

#endif  // VIT_CORE_DATA_TOOLS_PACK_DATA_H_
