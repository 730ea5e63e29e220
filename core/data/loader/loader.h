// Batches, made ahead by a pool of threads. What a batch holds is a function of (data, config,
// seed, step) alone: neither the number of threads nor what was loaded before changes it.
#ifndef VIT_CORE_DATA_LOADER_LOADER_H_
#define VIT_CORE_DATA_LOADER_LOADER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/compute/device.h"
#include "core/base/compute/host_buffer.h"
#include "core/data/dataset.h"
#include "core/data/loader/sample_order.h"
#include "vit/v1/data.pb.h"

namespace vit {

// Pictures of one step, as bytes; normalisation is the consumer's. An unreadable picture leaves its
// place empty: `images` and `labels` hold the readable ones, in order, and `slots` says where in
// the full batch each one stands.
struct Batch {
  int64_t step = 0;
  int image_size = 0;
  HostBuffer images;            // [slots.size(), 3, image_size, image_size]
  std::vector<int64_t> labels;  // [slots.size()]
  std::vector<int> slots;       // ascending, each in 0 .. size - 1
  int size = 0;                 // places, readable or not
};

// An image that cannot be read, when it is found.
struct BadImage {
  std::string name;
  absl::Status why;
  DataSplit split;
  // Distinct ones so far, this one included.
  int64_t bad_train_images = 0;
  int64_t bad_validation_images = 0;
};

// What is common to both loaders. With CACHE_MODE_AUTO decoded pictures are kept for the next
// epoch, as many as max_cache_bytes has room for; which ones are kept changes speed only. A picture
// that was unreadable once is not tried again. Thread-safe.
class SampleReader {
 public:
  // Called once for each unreadable image, from loader threads, possibly from several at once.
  using BadImageCallback = std::function<void(const BadImage& image)>;

  // `config`: effective. Fails nothing by itself.
  SampleReader(std::shared_ptr<const DataSet> data, const vit::v1::DataConfig& config,
               int image_size, BadImageCallback on_bad_image);
  ~SampleReader();

  // Fills `out` [3, image_size, image_size] with a sample of the training split as epoch `epoch` of
  // a run with `seed` sees it; false where it cannot be read. RESOURCE_EXHAUSTED where memory or
  // file descriptors ran out, which says nothing about the picture.
  absl::StatusOr<bool> ReadTrain(uint64_t seed, int64_t epoch, const SampleDraw& draw,
                                 uint8_t* out);
  // As evaluation sees it: [3, eval_image_size, eval_image_size].
  absl::StatusOr<bool> ReadEval(DataSplit split, int64_t index, uint8_t* out);

  // Distinct unreadable images met so far in `split`.
  int64_t bad_images(DataSplit split) const;
  // OK, or INVALID_ARGUMENT once more than max_bad_fraction of `split` is unreadable. The message
  // names ten of both splits: where fewer are known, reads on through each until there are, or all
  // of it or 2000 further images are seen, or `stop` is requested. Runs of listing version 1 began
  // without a limit for the validation split, and have none.
  absl::Status CheckBadFraction(DataSplit split, const std::stop_token& stop);

  const DataSet& data() const;
  const vit::v1::DataConfig& config() const;
  int image_size() const;
  int eval_image_size() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// What a SampleReader comes to keep, in bytes, judged by some of the pictures, which it decodes.
int64_t EstimateCacheBytes(const DataSet& data, const vit::v1::DataConfig& config, int image_size);

// Training batches for steps first_step, first_step + 1, ... without end. Step s holds places
// (s mod steps_per_epoch) * batch_size ... of SampleOrder::Epoch(seed, epoch) with epoch = s /
// steps_per_epoch and steps_per_epoch = n / batch_size; what is left over at an epoch's end is left
// out.
class TrainLoader {
 public:
  struct Options {
    uint64_t seed = 0;
    int batch_size = 128;  // at most the split's size
    int64_t first_step = 0;
    int threads = 1;
    int prefetch_batches = 4;
    Device device = Device::Cpu();  // that reads the batches
  };
  // Starts the threads (niced below compute). `reader` must outlive the loader.
  TrainLoader(SampleReader* reader, const Options& options);
  // Stops and joins the threads.
  ~TrainLoader();

  // The next step's batch. CANCELLED once `stop` is requested; CheckBadFraction's error where it
  // applies. INVALID_ARGUMENT where the split is smaller than a batch. One thread at a time.
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
    Device device = Device::Cpu();  // that reads the batches
  };
  EvalLoader(SampleReader* reader, const Options& options);
  ~EvalLoader();

  // The next batch; one with size 0 at the end. CANCELLED once `stop` is requested;
  // CheckBadFraction's error where it applies.
  absl::StatusOr<Batch> Next(std::stop_token stop);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vit

#endif  // VIT_CORE_DATA_LOADER_LOADER_H_
