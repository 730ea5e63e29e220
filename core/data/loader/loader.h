// Batches, prepared ahead by a pool of threads. The content of a batch depends only on (data,
// config, seed, step): neither the number of threads nor what was loaded before changes it.
#ifndef VIT_CORE_DATA_LOADER_LOADER_H_
#define VIT_CORE_DATA_LOADER_LOADER_H_

#include <cstdint>
#include <memory>
#include <stop_token>

#include "absl/status/statusor.h"
#include "core/base/compute/device.h"
#include "core/data/dataset.h"
#include "core/data/loader/batch.h"
#include "core/data/loader/sample_reader.h"

namespace vit {

// Training batches for steps first_step, first_step + 1, ... without end. Step s holds places (s
// mod steps_per_epoch) * batch_size ... of SampleOrder::Epoch(seed, epoch) with epoch = s /
// steps_per_epoch and steps_per_epoch = n / batch_size; the remainder at an epoch's end is dropped.
class TrainLoader {
 public:
  struct Options {
    uint64_t seed = 0;
    int batch_size = 128;  // at most the split's size
    int64_t first_step = 0;
    int threads = 1;
    int prefetch_batches = 4;
    Device device = Device::Cpu();  // reads the batches
  };
  // Starts the threads (niced below compute). `reader` must outlive the loader.
  TrainLoader(SampleReader* reader, const Options& options);
  // Stops and joins the threads.
  ~TrainLoader();

  // Returns the next step's batch. CANCELLED once `stop` is requested; CheckBadFraction's error if
  // it applies; INVALID_ARGUMENT if the split is smaller than a batch. One thread at a time.
  absl::StatusOr<Batch> Next(std::stop_token stop);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// One pass over a split, in order; the last batch may be smaller.
class EvalLoader {
 public:
  struct Options {
    DataSplit split = DataSplit::kValidation;
    int batch_size = 128;
    int threads = 1;
    int prefetch_batches = 4;
    Device device = Device::Cpu();  // reads the batches
  };
  EvalLoader(SampleReader* reader, const Options& options);
  ~EvalLoader();

  // Returns the next batch; one with size 0 at the end. CANCELLED once `stop` is requested;
  // CheckBadFraction's error if it applies.
  absl::StatusOr<Batch> Next(std::stop_token stop);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vit

#endif  // VIT_CORE_DATA_LOADER_LOADER_H_
