#include "server/services/open_inference/infer_call.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/services/open_inference/infer_answer.h"
#include "server/services/open_inference/infer_input.h"
#include "server/services/open_inference/infer_options.h"
#include "server/services/open_inference/model_tensors.h"

namespace vit {
namespace {

class InferCall : public std::enable_shared_from_this<InferCall> {
 public:
  InferCall(const InferBackend& backend, const inference::ModelInferRequest& request,
            const CallContext& context, inference::ModelInferResponse* response,
            std::function<void(const absl::Status&)> done)
      : backend_(backend),
        request_(request),
        context_(context),
        response_(response),
        done_(std::move(done)) {}

  void Start() {
    if (const absl::Status status = ReadHead(); !status.ok()) return Refuse("unknown", 0, status);
    backend_.engine->Load(model_,
                          [self = shared_from_this()](
                              const absl::StatusOr<std::shared_ptr<const FrozenModel>>& loaded) {
                            if (!loaded.ok()) return self->Refuse("unknown", 0, loaded.status());
                            const FrozenModel& model = **loaded;
                            if (const absl::Status status = self->ReadBody(model); !status.ok()) {
                              return self->Refuse(model.name(), model.version(), status);
                            }
                            self->Compute();
                          });
  }

 private:
  // Reads what does not depend on the model.
  absl::Status ReadHead() {
    VIT_ASSIGN_OR_RETURN(const ModelRef ref,
                         ParseModel(request_.model_name(), request_.model_version()));
    model_ = ref.ToString();
    VIT_ASSIGN_OR_RETURN(parameters_, ReadParameters(request_));
    context_.deadline = std::min(context_.deadline, backend_.clock->Now() + parameters_.timeout);
    return absl::OkStatus();
  }

  absl::Status ReadBody(const FrozenModel& model) {
    VIT_ASSIGN_OR_RETURN(outputs_, ReadOutputs(request_, model.config().num_classes()));
    VIT_ASSIGN_OR_RETURN(
        input_, ReadInput(request_, model.config().image_size(), backend_.max_images_per_request));
    return absl::OkStatus();
  }

  // Returns what the requested outputs are made of.
  Work::Kind Kind() const {
    bool classifies = false, embeds = false;
    for (const RequestedOutput& output : outputs_) {
      (output.kind == RequestedOutput::Kind::kEmbedding ? embeds : classifies) = true;
    }
    if (!embeds) return Work::Kind::kClassify;
    return classifies ? Work::Kind::kClassifyAndEmbed : Work::Kind::kEmbed;
  }

  void Compute() {
    backend_.engine->Infer({.model = model_,
                            .work = {.kind = Kind()},
                            .priority = parameters_.priority,
                            .deadline = context_.deadline,
                            .cancelled = context_.cancelled,
                            .images = input_.images},
                           [self = shared_from_this()](absl::StatusOr<InferenceAnswer> answer) {
                             self->done_(self->Write(std::move(answer)));
                           });
  }

  absl::Status Write(absl::StatusOr<InferenceAnswer> answer) const {
    if (!answer.ok()) {
      const bool by_image =
          absl::IsInvalidArgument(answer.status()) || IsOverLimit(answer.status());
      return by_image && input_.images.size() == 1 ? ElementError(0, answer.status())
                                                   : answer.status();
    }
    VIT_ASSIGN_OR_RETURN(const std::vector<Computed> results, Results(&*answer));
    const FrozenModel& model = *answer->model;
    response_->set_model_name(ModelName(model.source().ref));
    response_->set_model_version(ModelVersionName(model.source().ref));
    response_->set_id(request_.id());
    if (parameters_.mark_final) {
      (*response_->mutable_parameters())["triton_final_response"].set_bool_param(true);
    }
    WriteOutputs(outputs_, results, model.labels(), response_);
    return absl::OkStatus();
  }

  // Takes the results out of the answer. The first image that failed is the error.
  absl::StatusOr<std::vector<Computed>> Results(InferenceAnswer* answer) const {
    std::vector<Computed> images;
    for (absl::StatusOr<Computed>& result : answer->results) {
      const auto index = static_cast<int>(images.size());
      if (!result.ok()) return ElementError(index, result.status());
      for (const auto* values : {&result->probabilities, &result->features}) {
        if (std::all_of(values->begin(), values->end(), [](float v) { return std::isfinite(v); })) {
          continue;
        }
        return ElementError(index, absl::InvalidArgumentError(
                                       "the model's answer is not a number; its values may be too "
                                       "large"));
      }
      images.push_back(*std::move(result));
    }
    return images;
  }

  absl::Status ElementError(int index, const absl::Status& status) const {
    return Annotate(status, absl::StrCat("input ", input_.name, ", element ", index));
  }

  void Refuse(const std::string& model, int64_t version, const absl::Status& why) const {
    if (backend_.observer != nullptr) {
      backend_.observer->OnImageDone(model, version, why.code(), absl::ZeroDuration());
    }
    done_(why);
  }

  const InferBackend backend_;
  const inference::ModelInferRequest& request_;
  CallContext context_;
  inference::ModelInferResponse* const response_;
  const std::function<void(const absl::Status&)> done_;

  std::string model_;
  InferParameters parameters_;
  std::vector<RequestedOutput> outputs_;
  InferInput input_;
};

}  // namespace

void AnswerInfer(const InferBackend& backend, const inference::ModelInferRequest& request,
                 const CallContext& context, inference::ModelInferResponse* response,
                 std::function<void(const absl::Status&)> done) {
  std::make_shared<InferCall>(backend, request, context, response, std::move(done))->Start();
}

}  // namespace vit
