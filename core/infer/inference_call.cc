#include "core/infer/inference_call.h"

#include <numeric>

#include "core/infer/heat_map.h"
#include "core/model/model_config.h"

namespace vit {
namespace {

constexpr int kDefaultTopK = 5;
constexpr int kExplainedClasses = 5;

// Adds the `top_k` most probable classes, best first, to a message with `classes`.
template <typename Message>
void FillTopK(const std::vector<float>& probabilities, const std::vector<std::string>& labels,
              int top_k, Message* message) {
  std::vector<int> order(probabilities.size());
  std::iota(order.begin(), order.end(), 0);
  const auto count = std::min<size_t>(top_k, order.size());
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](int a, int b) {
    return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
  });
  for (size_t i = 0; i < count; ++i) {
    auto* score = message->add_classes();
    score->set_index(order[i]);
    score->set_label(labels[order[i]]);
    score->set_probability(probabilities[order[i]]);
  }
}

}  // namespace

void FillIdentity(const FrozenModel& model, vit::v1::ModelIdentity* identity) {
  identity->set_model(model.name());
  identity->set_run(model.source().run);
  identity->set_step(model.source().step);
  if (!model.source().ref.is_run()) identity->set_version(model.version());
}

void ClassifyCall::Fill(int index, const std::vector<uint8_t>& /*prepared*/, Computed computed) {
  FillTopK(computed.probabilities, model->labels(),
           request_.top_k() > 0 ? request_.top_k() : kDefaultTopK,
           response_.mutable_results(index));
}

void EmbedCall::Complete(const FrozenModel& of, vit::v1::EmbedResponse* response) {
  const bool tokens = request_.tokens();
  response->set_tokens(tokens ? static_cast<int>(TokenCount(of.config())) : 1);
  response->set_features(tokens ? of.config().embed_dim()
                                : static_cast<int>(PooledFeatures(of.config())));
}

void ExplainCall::Fill(int /*index*/, const std::vector<uint8_t>& prepared, Computed computed) {
  const vit::v1::ModelConfig& config = model->config();
  response_.set_rows(config.image_size() / config.patch_size());
  response_.set_columns(config.image_size() / config.patch_width());
  response_.set_heads(config.num_heads());
  response_.set_tokens(static_cast<int>(TokenCount(config)));
  FillTopK(computed.probabilities, model->labels(), kExplainedClasses, &response_);
  absl::StatusOr<std::string> map = RenderHeatMap(prepared, config.image_size(), computed.relevance,
                                                  response_.rows(), response_.columns());
  if (!map.ok()) return Fail(0, map.status());
  response_.set_heat_map(*std::move(map));
  response_.mutable_relevance()->Assign(computed.relevance.begin(), computed.relevance.end());
  response_.mutable_attention()->Assign(computed.attention.begin(), computed.attention.end());
}

}  // namespace vit
