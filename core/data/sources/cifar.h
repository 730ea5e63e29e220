// The original CIFAR-10 and CIFAR-100, behind cifar10:PATH and cifar100:PATH.
#ifndef VIT_CORE_DATA_SOURCES_CIFAR_H_
#define VIT_CORE_DATA_SOURCES_CIFAR_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/data/dataset.h"
#include "vit/v1/data.pb.h"

namespace vit {

// `classes` is 10 or 100.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenCifar(const std::string& path, int classes,
                                                         const DataSetOptions& options);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_CIFAR_H_
