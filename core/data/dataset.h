// Labelled pictures from a source; docs/data.md says which there are.
#ifndef VIT_CORE_DATA_DATASET_H_
#define VIT_CORE_DATA_DATASET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/image/image.h"
#include "vit/v1/data.pb.h"

namespace vit {

enum class DataSplit { kTrain, kValidation };

// Some samples of a split, in an order of their own.
struct SampleSelection {
  DataSplit from;
  std::vector<int64_t> indices;
};

// Files of a source that are no samples.
struct PassedOver {
  std::string kind;  // "GIF", "not an image"
  int64_t count = 0;
  std::string example;  // the first one
};

struct DataSetOptions {
  // Folders that a source's PATH must lie in, symbolic links resolved.
  std::vector<std::string> data_roots;
  ImageLimits limits;
  // Side of the pictures that "shapes:" draws.
  int image_size = 32;
};

// The samples of a source, split and in a fixed order (files sort bytewise), readable at random.
// Immutable and thread-safe once open.
class DataSet {
 public:
  // Lists the source and selects what `config` asks for; reads no pictures. `config.source` is
  // required. INVALID_ARGUMENT for an unknown scheme, a folder without classes or pictures (says
  // what was found and expected) or a choice that the source has no classes for, NOT_FOUND for a
  // missing path, PERMISSION_DENIED outside the data roots.
  static absl::StatusOr<std::shared_ptr<const DataSet>> Open(const vit::v1::DataConfig& config,
                                                             const DataSetOptions& options);
  // As Open, without the choice: every sample of the source, its own validation split or none.
  static absl::StatusOr<std::shared_ptr<const DataSet>> OpenWhole(const vit::v1::DataConfig& config,
                                                                  const DataSetOptions& options);
  virtual ~DataSet() = default;

  virtual int64_t size(DataSplit split) const = 0;
  // Class of sample `index`, 0 .. class_names().size() - 1.
  virtual int64_t label(DataSplit split, int64_t index) const = 0;
  // What a message calls sample `index`: its path, or "data_batch_1.bin:17".
  virtual std::string name(DataSplit split, int64_t index) const = 0;
  // Reads what is wanted of sample `index`.
  virtual absl::StatusOr<ImagePart> LoadPart(DataSplit split, int64_t index,
                                             const PixelRequest& request) const = 0;
  // Reads the whole of it; `min_short_side` as in PixelRequest.
  absl::StatusOr<Image> Load(DataSplit split, int64_t index, int min_short_side = 0) const;
  // The picture of sample `index` as the source has it, encoded. UNIMPLEMENTED for a source of bare
  // pixels.
  virtual absl::StatusOr<std::string> ReadEncoded(DataSplit split, int64_t index) const;

  // In label order.
  const std::vector<std::string>& class_names() const { return class_names_; }
  // Side of the source's own pictures where all are square and of one size (32 for CIFAR,
  // image_size for shapes), else 0.
  int native_size() const { return native_size_; }
  // 16 hexadecimal digits over the names, sizes, classes and splits of all samples: changes when
  // the data does.
  const std::string& fingerprint() const { return fingerprint_; }
  // How the source was understood, in sentences without a full stop: where its splits come from,
  // what of it is not used.
  const std::vector<std::string>& notes() const { return notes_; }
  // Its files that are no samples, by kind.
  const std::vector<PassedOver>& passed_over() const { return passed_over_; }
  // What fingerprint() is to be where only these samples are seen.
  virtual std::string FingerprintOf(const SampleSelection& train,
                                    const SampleSelection& validation) const;

 protected:
  std::vector<std::string> class_names_;
  int native_size_ = 0;
  std::string fingerprint_;
  std::vector<std::string> notes_;
  std::vector<PassedOver> passed_over_;
};

// Samples of each class in `split`, in class order.
std::vector<int64_t> ClassCounts(const DataSet& data, DataSplit split);

// notes() and passed_over() of `data`, for people: a short sentence each.
std::vector<std::string> DataNotes(const DataSet& data);

}  // namespace vit

#endif  // VIT_CORE_DATA_DATASET_H_
