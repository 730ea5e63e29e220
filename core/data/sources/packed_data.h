// Files that PackData wrote, behind packed:PATH.
#ifndef VIT_CORE_DATA_SOURCES_PACKED_DATA_H_
#define VIT_CORE_DATA_SOURCES_PACKED_DATA_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/data/dataset.h"
#include "vit/v1/data.pb.h"

namespace vit {

// Opens a file that PackData wrote. DATA_LOSS if it is damaged.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenPackedData(const std::string& path,
                                                              const vit::v1::DataConfig& config,
                                                              const DataSetOptions& options);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_PACKED_DATA_H_
