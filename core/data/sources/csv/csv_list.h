// Tables of files and labels, behind csv:PATH.
#ifndef VIT_CORE_DATA_SOURCES_CSV_CSV_LIST_H_
#define VIT_CORE_DATA_SOURCES_CSV_CSV_LIST_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/data/dataset.h"
#include "vit/v1/data.pb.h"

namespace vit {

// Opens a table of files and labels.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenCsvList(const std::string& path,
                                                           const vit::v1::DataConfig& config,
                                                           const DataSetOptions& options);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_CSV_CSV_LIST_H_
