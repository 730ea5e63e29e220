#include "server/services/open_inference/infer_options.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/services/open_inference/model_tensors.h"

namespace vit {
namespace {

using inference::InferParameter;
using Parameters = google::protobuf::Map<std::string, InferParameter>;

// Returns a parameter that counts something; 0 if it is not there.
absl::StatusOr<int64_t> ReadCount(const Parameters& parameters, const std::string& name) {
  const auto found = parameters.find(name);
  if (found == parameters.end()) return 0;
  const InferParameter& value = found->second;
  if (value.has_int64_param() && value.int64_param() >= 0) return value.int64_param();
  if (value.has_uint64_param()) {
    return static_cast<int64_t>(
        std::min<uint64_t>(value.uint64_param(), std::numeric_limits<int64_t>::max()));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("parameter ", name, ": expected an int64_param or uint64_param of at least 0"));
}

// Whether a parameter is there with another value than its type's zero.
bool IsSet(const Parameters& parameters, const std::string& name) {
  const auto found = parameters.find(name);
  if (found == parameters.end()) return false;
  const InferParameter& value = found->second;
  return value.bool_param() || value.int64_param() != 0 || value.uint64_param() != 0 ||
         value.double_param() != 0 || !value.string_param().empty();
}

absl::StatusOr<RequestedOutput> ReadOutput(
    const inference::ModelInferRequest::InferRequestedOutputTensor& output, int num_classes) {
  RequestedOutput read;
  if (output.name() == kEmbeddingOutput) {
    read.kind = RequestedOutput::Kind::kEmbedding;
  } else if (num_classes > 0 && output.name() == kLabelsOutput) {
    read.kind = RequestedOutput::Kind::kLabels;
  } else if (num_classes == 0 || output.name() != kScoresOutput) {
    return absl::InvalidArgumentError(
        num_classes > 0
            ? absl::StrCat("output '", output.name(), "': the model has SCORES (FP32), LABELS ",
                           "(BYTES) and EMBEDDING (FP32)")
            : absl::StrCat("output '", output.name(), "': the model is an encoder without a head; ",
                           "it has EMBEDDING (FP32)"));
  }
  if (IsSet(output.parameters(), "shared_memory_region")) {
    return absl::InvalidArgumentError(
        absl::StrCat("output ", output.name(),
                     ": vitd has no shared memory; leave out the parameter shared_memory_region"));
  }
  if (!output.parameters().contains("classification")) return read;
  VIT_ASSIGN_OR_RETURN(const int64_t classes, ReadCount(output.parameters(), "classification"));
  if (classes == 0) return read;
  if (read.kind != RequestedOutput::Kind::kScores) {
    return absl::InvalidArgumentError(absl::StrCat(
        "output ", output.name(), ": the parameter classification is for the output SCORES"));
  }
  read.classes = static_cast<int>(std::min<int64_t>(classes, num_classes));
  return read;
}

}  // namespace

absl::StatusOr<InferParameters> ReadParameters(const inference::ModelInferRequest& request) {
  const Parameters& parameters = request.parameters();
  if (IsSet(parameters, "sequence_id")) {
    return absl::InvalidArgumentError(
        "parameter sequence_id: models of vitd have no state; leave it out or set it to 0");
  }
  VIT_ASSIGN_OR_RETURN(const int64_t priority, ReadCount(parameters, "priority"));
  VIT_ASSIGN_OR_RETURN(const int64_t timeout, ReadCount(parameters, "timeout"));
  InferParameters read;
  switch (priority) {
    case 0:
      break;
    case 1:
      read.priority = vit::v1::PRIORITY_HIGH;
      break;
    case 2:
      read.priority = vit::v1::PRIORITY_NORMAL;
      break;
    default:
      read.priority = vit::v1::PRIORITY_LOW;
  }
  if (timeout > 0) read.timeout = absl::Microseconds(timeout);
  read.mark_final = IsSet(parameters, "triton_enable_empty_final_response");
  return read;
}

absl::StatusOr<std::vector<RequestedOutput>> ReadOutputs(
    const inference::ModelInferRequest& request, int num_classes) {
  using Kind = RequestedOutput::Kind;
  if (request.outputs().empty()) {
    if (num_classes == 0) return std::vector<RequestedOutput>{{.kind = Kind::kEmbedding}};
    return std::vector<RequestedOutput>{{.kind = Kind::kScores}, {.kind = Kind::kLabels}};
  }
  std::vector<RequestedOutput> outputs;
  std::set<Kind> seen;
  for (const auto& requested : request.outputs()) {
    VIT_ASSIGN_OR_RETURN(const RequestedOutput output, ReadOutput(requested, num_classes));
    if (!seen.insert(output.kind).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("output ", requested.name(), " is requested twice; ask for it once"));
    }
    outputs.push_back(output);
  }
  return outputs;
}

}  // namespace vit
