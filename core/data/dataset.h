// Labelled images from a source; docs/data.md lists the sources.
#ifndef VIT_CORE_DATA_DATASET_H_
#define VIT_CORE_DATA_DATASET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/image/image.h"
#include "vit/v1/data.pb.h"

namespace vit {

enum class DataSplit { kTrain, kValidation };

// Some samples of a split, in their own order.
struct SampleSelection {
  DataSplit from;
  std::vector<int64_t> indices;
};

// Files of a source that are not samples.
struct PassedOver {
  std::string kind;  // "GIF", "not an image"
  int64_t count = 0;
  std::string example;  // the first one
};

// What a source says of its samples as a whole.
struct DataSetFacts {
  // In label order.
  std::vector<std::string> class_names;
  // Side of the source's own images if all are square and of the same size (32 for CIFAR,
  // image_size for shapes), otherwise 0.
  int native_size = 0;
  // Digest of the names, sizes, classes and splits of all samples, 16 hexadecimal digits; changes
  // when the data does.
  std::string fingerprint;
  // How the source was read, in sentences without a full stop: where its splits come from, which
  // parts are not used.
  std::vector<std::string> notes;
  // Its files that are not samples, by kind.
  std::vector<PassedOver> passed_over;
};

struct DataSetOptions {
  // The folders that a source's PATH must lie in, with symbolic links resolved.
  std::vector<std::string> data_roots;
  ImageLimits limits;
  // Side of the images that "shapes:" draws.
  int image_size = 32;
};

// The samples of a source: split, in a fixed order (files sort bytewise), with random access.
// Immutable and thread-safe.
class DataSet {
 public:
  // Lists the source and selects what `config` asks for; reads no images. `config.source` is
  // required. INVALID_ARGUMENT for an unknown scheme, a folder without classes or images (says what
  // was found and expected) or a selection that does not fit the source's classes; NOT_FOUND for a
  // missing path; PERMISSION_DENIED outside the data roots.
  static absl::StatusOr<std::shared_ptr<const DataSet>> Open(const vit::v1::DataConfig& config,
                                                             const DataSetOptions& options);
  // Like Open, without the selection: every sample of the source, with its own validation split or
  // none.
  static absl::StatusOr<std::shared_ptr<const DataSet>> OpenWhole(const vit::v1::DataConfig& config,
                                                                  const DataSetOptions& options);
  virtual ~DataSet() = default;

  virtual int64_t size(DataSplit split) const = 0;
  // Class of sample `index`, 0 .. class_names().size() - 1.
  virtual int64_t label(DataSplit split, int64_t index) const = 0;
  // The name of sample `index` in messages: its path, or "data_batch_1.bin:17".
  virtual std::string name(DataSplit split, int64_t index) const = 0;
  // Reads the requested part of sample `index`.
  virtual absl::StatusOr<ImagePart> LoadPart(DataSplit split, int64_t index,
                                             const PixelRequest& request) const = 0;
  // Reads the whole image; `min_short_side` as in PixelRequest.
  absl::StatusOr<Image> Load(DataSplit split, int64_t index, int min_short_side = 0) const;
  // Returns the encoded image of sample `index` as the source stores it. UNIMPLEMENTED for a source
  // of bare pixels.
  virtual absl::StatusOr<std::string> ReadEncoded(DataSplit split, int64_t index) const;

  const DataSetFacts& facts() const { return facts_; }
  const std::vector<std::string>& class_names() const { return facts_.class_names; }
  int native_size() const { return facts_.native_size; }
  const std::string& fingerprint() const { return facts_.fingerprint; }
  // Returns the fingerprint() of a data set with only these samples.
  virtual std::string FingerprintOf(const SampleSelection& train,
                                    const SampleSelection& validation) const;

 protected:
  explicit DataSet(DataSetFacts facts) : facts_(std::move(facts)) {}

 private:
  const DataSetFacts facts_;
};

// Returns every sample of `split`, in order.
SampleSelection WholeSplit(const DataSet& data, DataSplit split);
// The same for a split of `size` samples.
SampleSelection WholeSplit(DataSplit split, int64_t size);

// Returns the number of samples of each class in `split`, in class order.
std::vector<int64_t> ClassCounts(const DataSet& data, DataSplit split);

// Returns notes and passed_over of `facts` as short sentences for people.
std::vector<std::string> DataNotes(const DataSetFacts& facts);

}  // namespace vit

#endif  // VIT_CORE_DATA_DATASET_H_
