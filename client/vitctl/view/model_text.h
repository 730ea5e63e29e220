// A model of the repository in words.
#ifndef VIT_CLIENT_VITCTL_VIEW_MODEL_TEXT_H_
#define VIT_CLIENT_VITCTL_VIEW_MODEL_TEXT_H_

#include <string>
#include <utility>
#include <vector>

#include "client/vitctl/view/table.h"
#include "vit/v1/inference.pb.h"
#include "vit/v1/repository.pb.h"

namespace vit {

std::string ModelName(const vit::v1::ModelVersion& model);  // pets@3

// "run:7f3a2c, step 1,200" or "pets, version 3".
std::string IdentityText(const vit::v1::ModelIdentity& model);

// "bfloat16" or "float32".
std::string PrecisionText(const vit::v1::ModelVersion& model);

// All of it, for RenderFields.
std::vector<std::pair<std::string, Table::Cell>> ModelFields(const vit::v1::ModelVersion& model);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_VIEW_MODEL_TEXT_H_
