#include "core/weights/export/onnx_forward.h"

#include <torch/torch.h>

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/compute/named_tensors.h"
#include "core/model/model_config.h"

namespace vit {
namespace {

using ::vit::v1::ModelConfig;
using Ints = std::vector<int64_t>;

// The forward of VisionTransformer as nodes, in its order and with its shapes. Methods take and
// return names of values; a value is named by the timm module that makes it: "blocks.0.attn.qkv" is
// that layer's output.
class VitGraph {
 public:
  VitGraph(const ModelConfig& config, const TensorMap& tensors, OnnxGraph* graph)
      : config_(config), tensors_(tensors), graph_(*graph) {}

  // [B, C, S, S] -> [B, K], without a head the pooled features, named `logits`.
  void Forward(const std::string& images, const std::string& logits);

 private:
  std::string PatchEmbed(const std::string& images);
  std::string AddPositionsAndPrefix(const std::string& images, const std::string& patches);
  std::string PrefixTokens(const std::string& images, const std::vector<std::string>& tokens);
  std::string Block(const std::string& x, const std::string& block);
  std::string Attention(const std::string& x, const std::string& attn);
  std::string Mlp(const std::string& x, const std::string& mlp);
  // One token of each image: [B, N, D] -> [B, D].
  std::string Select(const std::string& tokens, int64_t index, const std::string& output);
  // The patch tokens, without the prefix tokens.
  std::string PatchTokens(const std::string& tokens);
  std::string Pool(const std::string& tokens);
  // `output`: the name of the logits; `suffix` keeps the names of several heads' values apart.
  std::string Head(const std::string& pooled, const std::string& head, const std::string& suffix,
                   const std::string& output);

  // The parameter with that name.
  std::string Parameter(const std::string& name) {
    return graph_.AddInitializer(name, tensors_.at(name));
  }
  std::string Scalar(const std::string& name, double value) {
    return graph_.AddInitializer(name, at::scalar_tensor(value));
  }
  // With the parameters of `module`; its output is named `output`.
  std::string Linear(const std::string& x, const std::string& module, const std::string& output);
  std::string LayerNorm(const std::string& x, const std::string& module, const std::string& output);
  // The norm that config.norm_layer selects, of [B, N, D] or, if not `of_tokens`, [B, D].
  std::string Norm(const std::string& x, const std::string& module, const std::string& output,
                   bool of_tokens = true);
  std::string Gelu(const std::string& x, const std::string& output);
  std::string TanhGelu(const std::string& x, const std::string& output);
  // The activation that config.activation selects.
  std::string Activation(const std::string& x, const std::string& output);

  const ModelConfig& config_;
  const TensorMap& tensors_;
  OnnxGraph& graph_;
};

std::string VitGraph::Linear(const std::string& x, const std::string& module,
                             const std::string& output) {
  const std::string weight = graph_.AddInitializer(
      module + ".weight", tensors_.at(module + ".weight").flatten(1).t());  // [in, out]
  if (!tensors_.contains(module + ".bias")) return graph_.AddNode("MatMul", {x, weight}, output);
  const std::string product = graph_.AddNode("MatMul", {x, weight}, output + ".matmul");
  return graph_.AddNode("Add", {product, Parameter(module + ".bias")}, output);
}

std::string VitGraph::LayerNorm(const std::string& x, const std::string& module,
                                const std::string& output) {
  return graph_.AddNode("LayerNormalization",
                        {x, Parameter(module + ".weight"), Parameter(module + ".bias")}, output,
                        {{"axis", -1}, {"epsilon", static_cast<float>(config_.layer_norm_eps())}});
}

std::string VitGraph::Norm(const std::string& x, const std::string& module,
                           const std::string& output, bool of_tokens) {
  if (config_.norm_layer() != vit::v1::NORM_LAYER_BATCH_NORM) return LayerNorm(x, module, output);
  const int64_t dim = config_.embed_dim();
  const std::string rows =  // [B * N, D]: BatchNormalization takes the features from dimension 1
      of_tokens ? graph_.AddNode("Reshape", {x, graph_.AddInts("rows.shape", {-1, dim})},
                                 output + ".rows")
                : x;
  std::string normalized =
      graph_.AddNode("BatchNormalization",
                     {rows, Parameter(module + ".weight"), Parameter(module + ".bias"),
                      Parameter(module + ".running_mean"), Parameter(module + ".running_var")},
                     of_tokens ? output + ".normalized" : output,
                     {{"epsilon", static_cast<float>(config_.layer_norm_eps())}});
  if (!of_tokens) return normalized;
  const Ints shape = {-1, TokenCount(config_), dim};
  return graph_.AddNode("Reshape", {normalized, graph_.AddInts("tokens.shape", shape)}, output);
}

// x / 2 * (1 + erf(x / sqrt(2))), in the order in which runtimes look for it.
std::string VitGraph::Gelu(const std::string& x, const std::string& output) {
  const std::string scaled =
      graph_.AddNode("Div", {x, Scalar("sqrt_2", std::sqrt(2.0))}, output + ".scaled");
  const std::string erf = graph_.AddNode("Erf", {scaled}, output + ".erf");
  const std::string sum = graph_.AddNode("Add", {erf, Scalar("one", 1)}, output + ".sum");
  const std::string product = graph_.AddNode("Mul", {x, sum}, output + ".product");
  return graph_.AddNode("Mul", {product, Scalar("half", 0.5)}, output);
}

// x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
std::string VitGraph::TanhGelu(const std::string& x, const std::string& output) {
  const std::string square = graph_.AddNode("Mul", {x, x}, output + ".square");
  const std::string cube = graph_.AddNode("Mul", {square, x}, output + ".cube");
  const std::string part =
      graph_.AddNode("Mul", {cube, Scalar("gelu.cubic", 0.044715)}, output + ".cubic");
  const std::string inner = graph_.AddNode("Add", {x, part}, output + ".inner");
  const std::string scaled = graph_.AddNode(
      "Mul", {inner, Scalar("sqrt_2_over_pi", std::sqrt(2 / M_PI))}, output + ".scaled");
  const std::string tanh = graph_.AddNode("Tanh", {scaled}, output + ".tanh");
  const std::string sum = graph_.AddNode("Add", {tanh, Scalar("one", 1)}, output + ".sum");
  const std::string product = graph_.AddNode("Mul", {x, sum}, output + ".product");
  return graph_.AddNode("Mul", {product, Scalar("half", 0.5)}, output);
}

std::string VitGraph::Activation(const std::string& x, const std::string& output) {
  switch (config_.activation()) {
    case vit::v1::ACTIVATION_GELU_TANH:
      return TanhGelu(x, output);
    case vit::v1::ACTIVATION_QUICK_GELU: {
      const std::string scaled =
          graph_.AddNode("Mul", {x, Scalar("quick_gelu.scale", 1.702)}, output + ".scaled");
      const std::string sigmoid = graph_.AddNode("Sigmoid", {scaled}, output + ".sigmoid");
      return graph_.AddNode("Mul", {x, sigmoid}, output);
    }
    default:
      return Gelu(x, output);
  }
}

std::string VitGraph::PatchEmbed(const std::string& images) {
  const int64_t height = config_.patch_size(), width = config_.patch_width();
  const int64_t count = PatchCount(config_);
  const std::string proj = "patch_embed.proj", output = "patch_embed";
  if (!config_.patch_norm()) {
    std::vector<std::string> inputs = {images, Parameter(proj + ".weight")};
    if (tensors_.contains(proj + ".bias")) inputs.push_back(Parameter(proj + ".bias"));
    const std::string grid = graph_.AddNode(  // [B, D, rows, columns]
        "Conv", inputs, proj,
        {{"kernel_shape", Ints{height, width}}, {"strides", Ints{height, width}}});
    const std::string flat = graph_.AddNode(
        "Reshape", {grid, graph_.AddInts("patch_embed.shape", {0, config_.embed_dim(), count})},
        "patch_embed.flat");
    return graph_.AddNode("Transpose", {flat}, output, {{"perm", Ints{0, 2, 1}}});
  }
  const int64_t size = config_.image_size();
  const std::string cut = graph_.AddNode(  // [B, C, rows, P, columns, Q]
      "Reshape",
      {images, graph_.AddInts("patch_embed.cut.shape", {0, config_.in_channels(), size / height,
                                                        height, size / width, width})},
      "patch_embed.cut");
  const std::string by_patch = graph_.AddNode("Transpose", {cut}, "patch_embed.by_patch",
                                              {{"perm", Ints{0, 2, 4, 1, 3, 5}}});
  const std::string patches = graph_.AddNode(  // [B, rows * columns, C * P * Q]
      "Reshape",
      {by_patch, graph_.AddInts("patch_embed.patches.shape", {0, count, PatchValues(config_)})},
      "patch_embed.patches");
  const std::string input_norm = "patch_embed.input_norm";
  const std::string tokens = Linear(LayerNorm(patches, input_norm, input_norm), proj, proj);
  return LayerNorm(tokens, "patch_embed.norm", output);
}

// `tokens`, each [1, count, D], side by side and repeated for every image.
std::string VitGraph::PrefixTokens(const std::string& images,
                                   const std::vector<std::string>& tokens) {
  const std::string joined =
      tokens.size() == 1 ? tokens.front()
                         : graph_.AddNode("Concat", tokens, "prefix_tokens.joined", {{"axis", 1}});
  const std::string batch =
      graph_.AddNode("Shape", {images}, "batch_size", {{"start", 0}, {"end", 1}});
  const std::string shape =
      graph_.AddNode("Concat", {batch, graph_.AddInts("prefix_tokens.ones", {1, 1})},
                     "prefix_tokens.shape", {{"axis", 0}});
  return graph_.AddNode("Expand", {joined, shape}, "prefix_tokens");
}

std::string VitGraph::AddPositionsAndPrefix(const std::string& images, const std::string& patches) {
  const bool positions = config_.pos_embed() != vit::v1::POSITION_EMBEDDING_NONE;
  const auto add_positions = [&](const std::string& x) {
    return graph_.AddNode("Add", {x, Parameter("pos_embed")}, "positioned");
  };
  std::string x = patches;
  if (positions && config_.no_embed_class()) x = add_positions(x);
  std::vector<std::string> tokens;
  for (const char* name : {"cls_token", "dist_token", "reg_token"}) {
    if (tensors_.contains(name)) tokens.push_back(Parameter(name));
  }
  if (!tokens.empty()) {
    x = graph_.AddNode("Concat", {PrefixTokens(images, tokens), x}, "tokens", {{"axis", 1}});
  }
  return positions && !config_.no_embed_class() ? add_positions(x) : x;
}

std::string VitGraph::Attention(const std::string& x, const std::string& attn) {
  const int64_t dim = config_.embed_dim(), head_dim = dim / config_.num_heads();
  const std::vector<std::string> qkv = {attn + ".query", attn + ".key", attn + ".value"};
  graph_.AddNode("Split", {Linear(x, attn + ".qkv", attn + ".qkv")}, qkv, {{"axis", 2}});
  const auto heads = [&](const std::string& rows, const char* norm, const Ints& order) {
    const std::string shape = graph_.AddInts("heads.shape", {0, 0, config_.num_heads(), head_dim});
    std::string values = graph_.AddNode("Reshape", {rows, shape}, rows + ".reshaped");
    if (norm != nullptr && config_.qk_norm()) values = LayerNorm(values, attn + norm, attn + norm);
    return graph_.AddNode("Transpose", {values}, rows + ".heads", {{"perm", order}});
  };
  const std::string query = heads(qkv[0], ".q_norm", {0, 2, 1, 3});  // [B, H, N, D/H]
  const std::string key = heads(qkv[1], ".k_norm", {0, 2, 3, 1});    // [B, H, D/H, N]
  const std::string value = heads(qkv[2], nullptr, {0, 2, 1, 3});    // [B, H, N, D/H]
  const double scale =
      1 / std::sqrt(static_cast<double>(config_.scale_by_embed_dim() ? dim : head_dim));
  const std::string scaled =
      graph_.AddNode("Mul", {query, Scalar("attn.scale", scale)}, attn + ".query.scaled");
  const std::string scores = graph_.AddNode("MatMul", {scaled, key}, attn + ".scores");
  const std::string weights =  // [B, H, N, N]
      graph_.AddNode("Softmax", {scores}, attn + ".weights", {{"axis", -1}});
  const std::string attended = graph_.AddNode("MatMul", {weights, value}, attn + ".attended");
  const std::string transposed =
      graph_.AddNode("Transpose", {attended}, attn + ".transposed", {{"perm", Ints{0, 2, 1, 3}}});
  const std::string joined = graph_.AddNode(
      "Reshape", {transposed, graph_.AddInts("joined.shape", {0, 0, dim})}, attn + ".joined");
  return config_.attn_proj() ? Linear(joined, attn + ".proj", attn + ".proj") : joined;
}

std::string VitGraph::Mlp(const std::string& x, const std::string& mlp) {
  const std::string hidden = Activation(Linear(x, mlp + ".fc1", mlp + ".fc1"), mlp + ".act");
  return Linear(hidden, mlp + ".fc2", mlp + ".fc2");
}

std::string VitGraph::Block(const std::string& x, const std::string& block) {
  const auto norm = [&](const std::string& values, const std::string& name) {
    return Norm(values, config_.shared_norm() ? name : block + "." + name, block + "." + name);
  };
  const auto add = [&](const std::string& values, const std::string& branch,
                       const std::string& scale, const std::string& output) {
    const std::string scaled =
        config_.init_values() == 0
            ? branch
            : graph_.AddNode("Mul", {branch, Parameter(scale + ".gamma")}, scale);
    return graph_.AddNode("Add", {values, scaled}, output);
  };
  const std::string attended =
      add(x, Attention(norm(x, "norm1"), block + ".attn"), block + ".ls1", block + ".attended");
  return add(attended, Mlp(norm(attended, "norm2"), block + ".mlp"), block + ".ls2", block);
}

std::string VitGraph::Select(const std::string& tokens, int64_t index, const std::string& output) {
  const std::string position =
      graph_.AddInitializer(absl::StrCat("token.", index), at::scalar_tensor(index, at::kLong));
  return graph_.AddNode("Gather", {tokens, position}, output, {{"axis", 1}});
}

std::string VitGraph::PatchTokens(const std::string& tokens) {
  const int64_t prefix = PrefixTokenCount(config_);
  if (prefix == 0) return tokens;
  const std::string start = graph_.AddInts("patches.start", {prefix});
  const std::string end = graph_.AddInts("patches.end", {TokenCount(config_)});
  const std::string axis = graph_.AddInts("patches.axis", {1});
  return graph_.AddNode("Slice", {tokens, start, end, axis}, "patches");
}

std::string VitGraph::Pool(const std::string& tokens) {
  std::string pooled = "pooled";
  switch (config_.global_pool()) {
    case vit::v1::GLOBAL_POOL_AVG:
      graph_.AddNode("ReduceMean", {PatchTokens(tokens)}, pooled,
                     {{"axes", Ints{1}}, {"keepdims", 0}});
      break;
    case vit::v1::GLOBAL_POOL_MAX:
      graph_.AddNode("ReduceMax", {PatchTokens(tokens)}, pooled,
                     {{"axes", Ints{1}}, {"keepdims", 0}});
      break;
    case vit::v1::GLOBAL_POOL_FLATTEN: {
      const std::string by_feature = graph_.AddNode("Transpose", {PatchTokens(tokens)},
                                                    "by_feature", {{"perm", Ints{0, 2, 1}}});
      graph_.AddNode("Flatten", {by_feature}, pooled, {{"axis", 1}});
      break;
    }
    case vit::v1::GLOBAL_POOL_TOKEN_AND_AVG: {
      const std::string mean = graph_.AddNode("ReduceMean", {PatchTokens(tokens)}, "pooled.patches",
                                              {{"axes", Ints{1}}, {"keepdims", 0}});
      graph_.AddNode("Concat", {Select(tokens, 0, "pooled.token"), mean}, pooled, {{"axis", 1}});
      break;
    }
    default:
      Select(tokens, 0, pooled);
  }
  if (!config_.final_norm() || !config_.fc_norm()) return pooled;
  return Norm(pooled, "fc_norm", "fc_norm", /*of_tokens=*/false);
}

std::string VitGraph::Head(const std::string& pooled, const std::string& head,
                           const std::string& suffix, const std::string& output) {
  std::string x = pooled;
  if (config_.representation_size() > 0) {
    x = Linear(x, "pre_logits.fc", "pre_logits.fc" + suffix);
    const bool gelu =
        config_.representation_activation() == vit::v1::REPRESENTATION_ACTIVATION_GELU;
    const std::string activated = "pre_logits.act" + suffix;
    x = gelu ? Gelu(x, activated) : graph_.AddNode("Tanh", {x}, activated);
  }
  return Linear(x, head, output);
}

void VitGraph::Forward(const std::string& images, const std::string& logits) {
  std::string x = AddPositionsAndPrefix(images, PatchEmbed(images));  // [B, N, D]
  if (config_.pre_norm()) x = Norm(x, "norm_pre", "norm_pre");
  for (int i = 0; i < config_.depth(); ++i) x = Block(x, absl::StrCat("blocks.", i));
  if (config_.final_norm() && !config_.fc_norm()) x = Norm(x, "norm", "norm");
  if (config_.num_classes() == 0) {
    graph_.AddNode("Identity", {Pool(x)}, logits);
    return;
  }
  if (!config_.distillation_token()) {
    Head(Pool(x), "head", "", logits);
    return;
  }
  const std::string second = Select(x, 1, "pooled.dist");
  const std::string sum = graph_.AddNode(
      "Add", {Head(Pool(x), "head", "", "head"), Head(second, "head_dist", ".dist", "head_dist")},
      "heads");
  graph_.AddNode("Mul", {sum, Scalar("half", 0.5)}, logits);
}

}  // namespace

void AddForward(const ModelConfig& config, const TensorMap& tensors, const std::string& images,
                const std::string& logits, OnnxGraph* graph) {
  VitGraph(config, tensors, graph).Forward(images, logits);
}

}  // namespace vit
