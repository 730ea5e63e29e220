// Archives in WebDataset's layout, behind wds:PATH.
#ifndef VIT_CORE_DATA_SOURCES_TAR_TAR_SHARDS_H_
#define VIT_CORE_DATA_SOURCES_TAR_TAR_SHARDS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/data/dataset.h"
#include "vit/v1/data.pb.h"

namespace vit {

// Opens `path`: an archive, a folder of them, or a pattern with braces.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenTarShards(const std::string& path,
                                                             const vit::v1::DataConfig& config,
                                                             const DataSetOptions& options);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_TAR_TAR_SHARDS_H_
