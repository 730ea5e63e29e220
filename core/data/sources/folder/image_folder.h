// Folders of images, behind folder:PATH.
#ifndef VIT_CORE_DATA_SOURCES_FOLDER_IMAGE_FOLDER_H_
#define VIT_CORE_DATA_SOURCES_FOLDER_IMAGE_FOLDER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/data/dataset.h"
#include "vit/v1/data.pb.h"

namespace vit {

absl::StatusOr<std::shared_ptr<const DataSet>> OpenImageFolder(const std::string& path,
                                                               const vit::v1::DataConfig& config,
                                                               const DataSetOptions& options);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_FOLDER_IMAGE_FOLDER_H_
