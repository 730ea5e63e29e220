// Generated images of ten shapes, behind shapes:.
#ifndef VIT_CORE_DATA_SOURCES_SHAPES_H_
#define VIT_CORE_DATA_SOURCES_SHAPES_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/data/dataset.h"
#include "vit/v1/data.pb.h"

namespace vit {

std::shared_ptr<const DataSet> OpenShapes(bool hard, const vit::v1::ShapesConfig& config,
                                          int image_size);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_SHAPES_H_
