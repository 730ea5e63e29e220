#include "server/services/open_inference/infer_call.h"

#include <algorithm>
#include <atomic>
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

// How often a request is computed anew because its model was replaced between its two parts.
constexpr int kMaxAttempts = 3;

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
    for (const RequestedOutput& output : outputs_) {
      (output.kind == RequestedOutput::Kind::kEmbedding ? embeds_ : classifies_) = true;
    }
    return absl::OkStatus();
  }

  // Asks the engine for each part of the answer.
  void Compute() {
    ++attempts_;
    left_ = static_cast<int>(classifies_) + static_cast<int>(embeds_);
    if (classifies_) Ask(Work::Kind::kClassify, &classified_);
    if (embeds_) Ask(Work::Kind::kEmbed, &embedded_);
  }

  void Ask(Work::Kind kind, absl::StatusOr<InferenceAnswer>* part) {
    backend_.engine->Infer(
        {.model = model_,
         .work = {.kind = kind},
         .priority = parameters_.priority,
         .deadline = context_.deadline,
         .cancelled = context_.cancelled,
         .images = input_.images},
        [self = shared_from_this(), part](absl::StatusOr<InferenceAnswer> answer) {
          *part = std::move(answer);
          if (self->left_.fetch_sub(1) == 1) self->Combine();
        });
  }

  void Combine() {
    std::shared_ptr<const FrozenModel> model;
    InferResults results;
    absl::Status status;
    if (classifies_) status = Take(&classified_, &model, &results.classified);
    const std::shared_ptr<const FrozenModel> first = model;
    if (embeds_ && status.ok()) status = Take(&embedded_, &model, &results.embedded);
    if (!status.ok()) return done_(status);
    const ModelRef& ref = model->source().ref;
    if (first != nullptr && first->source().ref.ToString() != ref.ToString()) {
      if (attempts_ < kMaxAttempts) return Compute();
      return done_(absl::UnavailableError(
          absl::StrCat("model ", model_, " was replaced while it answered; retry")));
    }
    response_->set_model_name(ModelName(ref));
    response_->set_model_version(ModelVersionName(ref));
    response_->set_id(request_.id());
    if (parameters_.mark_final) {
      (*response_->mutable_parameters())["triton_final_response"].set_bool_param(true);
    }
    WriteOutputs(outputs_, results, model->labels(), response_);
    done_(absl::OkStatus());
  }

  // Moves the results out of a part of the answer. The first image that failed is the error.
  absl::Status Take(absl::StatusOr<InferenceAnswer>* part,
                    std::shared_ptr<const FrozenModel>* model,
                    std::vector<Computed>* images) const {
    if (!part->ok()) {
      const bool by_image = absl::IsInvalidArgument(part->status()) || IsOverLimit(part->status());
      return by_image && input_.images.size() == 1 ? ElementError(0, part->status())
                                                   : part->status();
    }
    *model = (*part)->model;
    for (absl::StatusOr<Computed>& result : (*part)->results) {
      const auto index = static_cast<int>(images->size());
      if (!result.ok()) return ElementError(index, result.status());
      for (const auto* values : {&result->probabilities, &result->features}) {
        if (std::all_of(values->begin(), values->end(), [](float v) { return std::isfinite(v); })) {
          continue;
        }
        return ElementError(index, absl::InvalidArgumentError(
                                       "the model's answer is not a number; its values may be too "
                                       "large"));
      }
      images->push_back(*std::move(result));
    }
    return absl::OkStatus();
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
  bool classifies_ = false;
  bool embeds_ = false;
  int attempts_ = 0;
  std::atomic<int> left_ = 0;  // parts that are not answered yet
  absl::StatusOr<InferenceAnswer> classified_ = absl::UnknownError("");
  absl::StatusOr<InferenceAnswer> embedded_ = absl::UnknownError("");
};

}  // namespace

void AnswerInfer(const InferBackend& backend, const inference::ModelInferRequest& request,
                 const CallContext& context, inference::ModelInferResponse* response,
                 std::function<void(const absl::Status&)> done) {
  std::make_shared<InferCall>(backend, request, context, response, std::move(done))->Start();
}

}  // namespace vit
