// Reads single samples for the loaders: decoding, augmentation, the cache of decoded images.
#ifndef VIT_CORE_DATA_LOADER_SAMPLE_READER_H_
#define VIT_CORE_DATA_LOADER_SAMPLE_READER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/data/dataset.h"
#include "core/data/loader/sample_order.h"
#include "vit/v1/data.pb.h"

namespace vit {

// An unreadable image, when it is found.
struct BadImage {
  std::string name;
  absl::Status why;
  DataSplit split;
  // Distinct ones so far, including this one.
  int64_t bad_train_images = 0;
  int64_t bad_validation_images = 0;
};

// Reads samples for both loaders. With CACHE_MODE_AUTO, keeps decoded images for the next epoch, up
// to max_cache_bytes; which ones it keeps affects only speed. An image that was unreadable once is
// not tried again. Thread-safe.
class SampleReader {
 public:
  // Called once for each unreadable image, from loader threads, possibly from several at once.
  using BadImageCallback = std::function<void(const BadImage& image)>;

  // `config` must be effective. Unreadable images fail nothing by themselves; see CheckBadFraction.
  SampleReader(std::shared_ptr<const DataSet> data, const vit::v1::DataConfig& config,
               int image_size, BadImageCallback on_bad_image);
  ~SampleReader();

  // Fills `out` [3, image_size, image_size] with a sample of the training split as epoch `epoch` of
  // a run with `seed` sees it; false if it cannot be read. RESOURCE_EXHAUSTED if memory or file
  // descriptors run out, which says nothing about the image.
  absl::StatusOr<bool> ReadTrain(uint64_t seed, int64_t epoch, const SampleDraw& draw,
                                 uint8_t* out);
  // The same as evaluation sees it: [3, eval_image_size, eval_image_size].
  absl::StatusOr<bool> ReadEval(DataSplit split, int64_t index, uint8_t* out);

  // Distinct unreadable images found so far in `split`.
  int64_t bad_images(DataSplit split) const;
  // Returns INVALID_ARGUMENT once more than max_bad_fraction of `split` is unreadable. The message
  // names ten images of both splits; if fewer are known, continues to read each split until ten are
  // found, all of it or 2000 further images are read, or `stop` is requested. Runs of listing
  // version 1 started without a limit for the validation split, and do not have one.
  absl::Status CheckBadFraction(DataSplit split, const std::stop_token& stop);

  const DataSet& data() const;
  const vit::v1::DataConfig& config() const;
  int image_size() const;
  int eval_image_size() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Estimates how many bytes a SampleReader will cache, by decoding some of the images.
int64_t EstimateCacheBytes(const DataSet& data, const vit::v1::DataConfig& config, int image_size);

}  // namespace vit

#endif  // VIT_CORE_DATA_LOADER_SAMPLE_READER_H_
