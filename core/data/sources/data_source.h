// Parses and opens data.source.
#ifndef VIT_CORE_DATA_SOURCES_DATA_SOURCE_H_
#define VIT_CORE_DATA_SOURCES_DATA_SOURCE_H_

#include <memory>
#include <string>

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
// INVALID_ARGUMENT for an unknown scheme, or a missing or superfluous path; the message lists the
// schemes.
absl::StatusOr<DataSource> ParseDataSource(absl::string_view source);

// The kinds of sources, for messages.
extern const char kExpectedSources[];

// Lists the content of `source`. Statuses as of DataSet::Open.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenSource(const DataSource& source,
                                                          const vit::v1::DataConfig& config,
                                                          const DataSetOptions& options);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_DATA_SOURCE_H_
