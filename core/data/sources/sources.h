// The sources behind DataSet::Open.
#ifndef VIT_CORE_DATA_SOURCES_SOURCES_H_
#define VIT_CORE_DATA_SOURCES_SOURCES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/data/dataset.h"
#include "vit/v1/data.pb.h"

namespace vit {

// "folder:/data/pets" is scheme "folder" and path "/data/pets".
struct DataSource {
  std::string scheme;
  std::string path;
};
// INVALID_ARGUMENT for an unknown scheme, a missing or superfluous path; the message names the
// schemes there are.
absl::StatusOr<DataSource> ParseDataSource(absl::string_view source);

std::shared_ptr<const DataSet> OpenShapes(bool hard, const vit::v1::ShapesConfig& config,
                                          int image_size);
absl::StatusOr<std::shared_ptr<const DataSet>> OpenImageFolder(const std::string& path,
                                                               const vit::v1::DataConfig& config,
                                                               const DataSetOptions& options);
// A table of files and labels.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenCsvList(const std::string& path,
                                                           const vit::v1::DataConfig& config,
                                                           const DataSetOptions& options);
// `path`: an archive, a folder of them, or a pattern with braces.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenTarShards(const std::string& path,
                                                             const vit::v1::DataConfig& config,
                                                             const DataSetOptions& options);
// A file that PackData wrote. DATA_LOSS where it is damaged.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenPackedData(const std::string& path,
                                                              const vit::v1::DataConfig& config,
                                                              const DataSetOptions& options);
// `classes`: 10 or 100.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenCifar(const std::string& path, int classes,
                                                         const DataSetOptions& options);

// Gathers what DataSet::passed_over gives.
class PassedOverCounts {
 public:
  void Add(absl::string_view kind, absl::string_view example, int64_t count = 1);
  void AddAll(const PassedOverCounts& other);
  const std::vector<PassedOver>& files() const { return files_; }

 private:
  std::vector<PassedOver> files_;  // kinds in the order of their first examples
};

// Every sample of `split`, in its order.
SampleSelection WholeSplit(const DataSet& data, DataSplit split);

// The samples of `all` that `config` asks for, `all` itself where that is every one.
// INVALID_ARGUMENT where it asks for what `all` has not.
absl::StatusOr<std::shared_ptr<const DataSet>> SelectSamples(std::shared_ptr<const DataSet> all,
                                                             const vit::v1::DataConfig& config);

// A digest of all that was added, in order: for noticing change, not for defence.
class Fingerprint {
 public:
  void Add(absl::string_view text);
  void Add(int64_t number);
  // 16 hexadecimal digits.
  std::string Hex() const;
  uint64_t value() const { return hash_; }

 private:
  void AddByte(uint8_t byte) { hash_ = (hash_ ^ byte) * 0x100000001B3; }
  uint64_t hash_ = 0xCBF29CE484222325;  // FNV-1a, 64 bits
};

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_SOURCES_H_
