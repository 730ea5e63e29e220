#include "core/infer/inference_messages.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/infer/heat_map.h"
#include "core/infer/inference_engine.h"
#include "core/model/model_config.h"

namespace vit {
namespace {

constexpr int kDefaultTopK = 5;
constexpr int kExplainedClasses = 5;

// Adds the `top_k` most probable classes, best first, to a message with `classes`.
template <typename Message>
void FillTopK(const std::vector<float>& probabilities, const std::vector<std::string>& labels,
              int top_k, Message* message) {
  for (const int index : BestClasses(probabilities, top_k)) {
    auto* score = message->add_classes();
    score->set_index(index);
    score->set_label(labels[index]);
    score->set_probability(probabilities[index]);
  }
}

void FillIdentity(const FrozenModel& model, vit::v1::ModelIdentity* identity) {
  identity->set_model(model.name());
  identity->set_run(model.source().run);
  identity->set_step(model.source().step);
  if (!model.source().ref.is_run()) identity->set_version(model.version());
}

// Returns the engine's request for a message with `model` and `priority`.
template <typename Message>
InferenceRequest ToRequest(const Message& message, const CallContext& context, const Work& work) {
  return {.model = message.model(),
          .work = work,
          .priority = message.priority(),
          .deadline = context.deadline,
          .cancelled = context.cancelled,
          .images = {}};
}

// Returns a response with one result per image; `fill` fills in that of an image that was computed.
template <typename Response, typename Fill>
Response ToResponse(const InferenceAnswer& answer, const Fill& fill) {
  Response response;
  response.mutable_results()->Reserve(static_cast<int>(answer.results.size()));
  for (const absl::StatusOr<Computed>& computed : answer.results) {
    auto* result = response.add_results();
    if (computed.ok()) {
      fill(*computed, result);
    } else {
      result->set_code(static_cast<int>(computed.status().code()));
      result->set_error(std::string(computed.status().message()));
    }
  }
  FillIdentity(*answer.model, response.mutable_model());
  return response;
}

absl::StatusOr<vit::v1::ExplainResponse> ToExplanation(const InferenceAnswer& answer) {
  const Computed& computed = *answer.results.front();
  const vit::v1::ModelConfig& config = answer.model->config();
  vit::v1::ExplainResponse response;
  response.set_rows(config.image_size() / config.patch_size());
  response.set_columns(config.image_size() / config.patch_width());
  response.set_heads(config.num_heads());
  response.set_tokens(static_cast<int>(TokenCount(config)));
  FillTopK(computed.probabilities, answer.model->labels(), kExplainedClasses, &response);
  VIT_ASSIGN_OR_RETURN(std::string map,
                       RenderHeatMap(computed.image.bytes, config.image_size(), computed.relevance,
                                     response.rows(), response.columns()));
  response.set_heat_map(std::move(map));
  response.mutable_relevance()->Assign(computed.relevance.begin(), computed.relevance.end());
  response.mutable_attention()->Assign(computed.attention.begin(), computed.attention.end());
  FillIdentity(*answer.model, response.mutable_model());
  return response;
}

}  // namespace

std::vector<int> BestClasses(const std::vector<float>& probabilities, int count) {
  std::vector<int> order(probabilities.size());
  std::iota(order.begin(), order.end(), 0);
  const auto end = order.begin() + std::min<ptrdiff_t>(count, std::ssize(order));
  std::partial_sort(order.begin(), end, order.end(), [&](int a, int b) {
    return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
  });
  order.erase(end, order.end());
  return order;
}

void InferenceEngine::Classify(
    const vit::v1::ClassifyRequest& message, const CallContext& context,
    std::function<void(absl::StatusOr<vit::v1::ClassifyResponse>)> done) {
  InferenceRequest request = ToRequest(message, context, {.kind = Work::Kind::kClassify});
  for (const std::string& image : message.images()) request.images.push_back({.data = image});
  const int top_k = message.top_k() > 0 ? message.top_k() : kDefaultTopK;
  if (message.top_k() < 0) {
    return Refuse(request,
                  absl::InvalidArgumentError(
                      absl::StrCat("top_k is ", message.top_k(), "; expected at least 0")),
                  [&](const absl::Status& why) { done(why); });
  }
  Infer(std::move(request),
        [top_k, done = std::move(done)](absl::StatusOr<InferenceAnswer> answer) {
          if (!answer.ok()) return done(answer.status());
          done(ToResponse<vit::v1::ClassifyResponse>(
              *answer, [&](const Computed& computed, auto* result) {
                FillTopK(computed.probabilities, answer->model->labels(), top_k, result);
              }));
        });
}

void InferenceEngine::Embed(const vit::v1::EmbedRequest& message, const CallContext& context,
                            std::function<void(absl::StatusOr<vit::v1::EmbedResponse>)> done) {
  const bool tokens = message.tokens();
  InferenceRequest request =
      ToRequest(message, context, {.kind = tokens ? Work::Kind::kEmbedTokens : Work::Kind::kEmbed});
  for (const std::string& image : message.images()) request.images.push_back({.data = image});
  Infer(std::move(request), [tokens,
                             done = std::move(done)](absl::StatusOr<InferenceAnswer> answer) {
    if (!answer.ok()) return done(answer.status());
    auto response = ToResponse<vit::v1::EmbedResponse>(
        *answer, [](const Computed& computed, vit::v1::Embedding* result) {
          result->mutable_values()->Assign(computed.features.begin(), computed.features.end());
        });
    const vit::v1::ModelConfig& config = answer->model->config();
    response.set_tokens(tokens ? static_cast<int>(TokenCount(config)) : 1);
    response.set_features(tokens ? config.embed_dim() : static_cast<int>(PooledFeatures(config)));
    done(std::move(response));
  });
}

void InferenceEngine::Explain(const vit::v1::ExplainRequest& message, const CallContext& context,
                              std::function<void(absl::StatusOr<vit::v1::ExplainResponse>)> done) {
  Work work = {.kind = Work::Kind::kExplain};
  if (message.has_block()) work.block = message.block();
  InferenceRequest request = ToRequest(message, context, work);
  request.images.push_back({.data = message.image()});
  if (message.has_block() && message.block() < 0) {
    return Refuse(request,
                  absl::InvalidArgumentError(
                      absl::StrCat("block is ", message.block(), "; blocks count from 0")),
                  [&](const absl::Status& why) { done(why); });
  }
  Infer(std::move(request), [done = std::move(done)](absl::StatusOr<InferenceAnswer> answer) {
    if (!answer.ok()) return done(answer.status());
    done(ToExplanation(*answer));
  });
}

}  // namespace vit
