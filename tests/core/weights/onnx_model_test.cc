#include "core/weights/export/onnx_model.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <onnx/onnx.pb.h>
#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "core/base/compute/named_tensors.h"
#include "core/base/file.h"
#include "core/model/model_config.h"
#include "core/model/vision_transformer.h"
#include "core/spec/defaults.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

constexpr int64_t kAlignment = 65536;

class OnnxModelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::replace(name.begin(), name.end(), '/', '_');
    directory_ = fs::path(::testing::TempDir()) / ("onnx_" + name);
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  // A small model, with the fields that `text` sets.
  static ModelDescription Describe(const std::string& text = "") {
    ModelDescription description;
    vit::v1::ModelConfig& model = description.model;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &model)) << text;
    if (!model.has_image_size()) model.set_image_size(16);
    if (!model.has_patch_size()) model.set_patch_size(8);
    if (!model.has_embed_dim()) model.set_embed_dim(8);
    if (!model.has_depth()) model.set_depth(2);
    if (!model.has_num_heads()) model.set_num_heads(2);
    FillModelDefaults(3, &model);
    return description;
  }

  static TensorMap RandomWeights(const ModelDescription& description) {
    VisionTransformer model(description.model);
    model->Initialize(1);
    TensorMap tensors;
    for (const auto& [name, value] : StateDict(*model)) tensors[name] = value.detach();
    return tensors;
  }

  onnx::ModelProto Read() const {
    onnx::ModelProto model;
    const auto bytes = ReadFile(directory_ / "model.onnx", int64_t{1} << 30);
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    EXPECT_TRUE(bytes.ok() && model.ParseFromString(*bytes));
    return model;
  }

  // Writes the model with random weights and reads it back.
  onnx::ModelProto Export(const ModelDescription& description) const {
    const absl::Status status = WriteOnnx(directory_, RandomWeights(description), description, {});
    EXPECT_TRUE(status.ok()) << status;
    return Read();
  }

  fs::path directory_;
};

const onnx::TensorProto* Find(const onnx::ModelProto& model, const std::string& name) {
  for (const onnx::TensorProto& tensor : model.graph().initializer()) {
    if (tensor.name() == name) return &tensor;
  }
  return nullptr;
}

std::vector<int64_t> Dims(const onnx::TensorProto& tensor) {
  return {tensor.dims().begin(), tensor.dims().end()};
}

at::Tensor Floats(const std::string& bytes, const std::vector<int64_t>& dims) {
  return at::from_blob(const_cast<char*>(bytes.data()), dims, at::kFloat).clone();
}

std::vector<std::string> Operators(const onnx::ModelProto& model) {
  std::vector<std::string> operators;
  for (const onnx::NodeProto& node : model.graph().node()) operators.push_back(node.op_type());
  return operators;
}

std::map<std::string, std::string> ExternalData(const onnx::TensorProto& tensor) {
  std::map<std::string, std::string> entries;
  for (const auto& entry : tensor.external_data()) entries[entry.key()] = entry.value();
  return entries;
}

// Every value is made once, before it is taken, and is used.
void ExpectWellFormed(const onnx::ModelProto& model) {
  std::set<std::string> made, taken;
  const auto make = [&](const std::string& name) {
    EXPECT_TRUE(made.insert(name).second) << name << " is made twice";
  };
  for (const auto& input : model.graph().input()) make(input.name());
  for (const auto& tensor : model.graph().initializer()) make(tensor.name());
  for (const onnx::NodeProto& node : model.graph().node()) {
    for (const std::string& input : node.input()) {
      EXPECT_TRUE(made.contains(input)) << node.name() << " takes " << input;
      taken.insert(input);
    }
    for (const std::string& output : node.output()) make(output);
  }
  for (const auto& output : model.graph().output()) taken.insert(output.name());
  EXPECT_EQ(made, taken);
}

TEST_F(OnnxModelTest, TakesAnyBatchOfImagesAndAnswersLogits) {
  const onnx::ModelProto model = Export(Describe());
  EXPECT_EQ(model.ir_version(), 8);
  ASSERT_EQ(model.opset_import_size(), 1);
  EXPECT_EQ(model.opset_import(0).domain(), "");
  EXPECT_EQ(model.opset_import(0).version(), 17);
  ASSERT_EQ(model.graph().input_size(), 1);
  ASSERT_EQ(model.graph().output_size(), 1);
  const auto expect = [](const onnx::ValueInfoProto& value, const char* name,
                         const std::vector<int64_t>& sizes) {
    EXPECT_EQ(value.name(), name);
    EXPECT_EQ(value.type().tensor_type().elem_type(), onnx::TensorProto::FLOAT);
    const auto& shape = value.type().tensor_type().shape();
    ASSERT_EQ(shape.dim_size(), static_cast<int>(sizes.size()) + 1);
    EXPECT_EQ(shape.dim(0).dim_param(), "batch");
    for (size_t i = 0; i < sizes.size(); ++i) {
      EXPECT_EQ(shape.dim(static_cast<int>(i) + 1).dim_value(), sizes[i]);
    }
  };
  expect(model.graph().input(0), "images", {3, 16, 16});
  expect(model.graph().output(0), "logits", {3});
}

TEST_F(OnnxModelTest, SaysWhereItComesFromAndHowImagesArePrepared) {
  ModelDescription description = Describe();
  for (const double mean : {0.25, 0.5, 0.75}) {
    description.preprocessing.add_mean(mean);
    description.preprocessing.add_std(0.125);
  }
  const absl::Status status = WriteOnnx(directory_, RandomWeights(description), description,
                                        {{"labels", "cat\ndog\nnewt"}, {"run", "r1"}});
  ASSERT_TRUE(status.ok()) << status;
  const onnx::ModelProto model = Read();
  EXPECT_EQ(model.producer_name(), "vitd");
  EXPECT_THAT(model.producer_version(), MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_THAT(model.graph().input(0).doc_string(), HasSubstr("mean 0.25 0.5 0.75"));
  EXPECT_THAT(model.graph().input(0).doc_string(), HasSubstr("std 0.125 0.125 0.125"));
  ASSERT_EQ(model.metadata_props_size(), 2);
  EXPECT_EQ(model.metadata_props(0).key(), "labels");
  EXPECT_EQ(model.metadata_props(0).value(), "cat\ndog\nnewt");
  EXPECT_EQ(model.metadata_props(1).key(), "run");
  EXPECT_EQ(model.metadata_props(1).value(), "r1");
}

TEST_F(OnnxModelTest, HoldsEveryParameterUnderItsName) {
  const ModelDescription description = Describe("init_values: 0.5 reg_tokens: 2 qk_norm: true");
  const TensorMap tensors = RandomWeights(description);
  ASSERT_TRUE(WriteOnnx(directory_, tensors, description, {}).ok());
  const onnx::ModelProto model = Read();
  for (const auto& [name, value] : tensors) {
    const onnx::TensorProto* const tensor = Find(model, name);
    ASSERT_NE(tensor, nullptr) << name;
    const at::Tensor expected = value.dim() == 2 ? value.t() : value;
    EXPECT_EQ(Dims(*tensor), expected.sizes().vec()) << name;
    EXPECT_TRUE(at::equal(Floats(tensor->raw_data(), Dims(*tensor)), expected)) << name;
  }
  EXPECT_FALSE(fs::exists(directory_ / "model.onnx.data"));
}

TEST_F(OnnxModelTest, OtherPrecisionsBecomeFloat32) {
  const ModelDescription description = Describe();
  TensorMap tensors = RandomWeights(description);
  for (auto& [name, value] : tensors) value = value.to(at::kBFloat16);
  ASSERT_TRUE(WriteOnnx(directory_, tensors, description, {}).ok());
  const onnx::ModelProto model = Read();
  const onnx::TensorProto* const tensor = Find(model, "pos_embed");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->data_type(), onnx::TensorProto::FLOAT);
  EXPECT_TRUE(
      at::equal(Floats(tensor->raw_data(), Dims(*tensor)), tensors.at("pos_embed").to(at::kFloat)));
}

TEST_F(OnnxModelTest, LargeWeightsGoBesideTheModel) {
  const ModelDescription description = Describe("embed_dim: 128 num_heads: 4");
  const TensorMap tensors = RandomWeights(description);
  ASSERT_TRUE(WriteOnnx(directory_, tensors, description, {}, /*max_inline_bytes=*/100'000).ok());
  const onnx::ModelProto model = Read();
  ExpectWellFormed(model);
  const std::string data = *ReadFile(directory_ / "model.onnx.data", int64_t{1} << 30);
  std::set<int64_t> ends = {0};
  for (const onnx::TensorProto& tensor : model.graph().initializer()) {
    const std::vector<int64_t> dims = Dims(tensor);
    if (tensor.data_location() != onnx::TensorProto::EXTERNAL) {
      EXPECT_LT(static_cast<int64_t>(tensor.raw_data().size()), kAlignment) << tensor.name();
      continue;
    }
    EXPECT_FALSE(tensor.has_raw_data()) << tensor.name();
    std::map<std::string, std::string> entries = ExternalData(tensor);
    EXPECT_EQ(entries["location"], "model.onnx.data");
    const int64_t offset = std::stoll(entries["offset"]), length = std::stoll(entries["length"]);
    EXPECT_EQ(offset % kAlignment, 0) << tensor.name();
    EXPECT_GE(length, kAlignment) << tensor.name();
    EXPECT_GE(offset, *ends.rbegin()) << tensor.name() << " overlaps another";
    ends.insert(offset + length);
    ASSERT_LE(offset + length, static_cast<int64_t>(data.size())) << tensor.name();
    const at::Tensor& value = tensors.at(tensor.name());
    EXPECT_TRUE(
        at::equal(Floats(data.substr(offset, length), dims), value.dim() == 2 ? value.t() : value))
        << tensor.name();
  }
  EXPECT_GT(ends.size(), 5u);
  EXPECT_EQ(*ends.rbegin(), static_cast<int64_t>(data.size()));
}

TEST_F(OnnxModelTest, TheLimitItselfIsInline) {
  const ModelDescription description = Describe("embed_dim: 128 num_heads: 4");
  const TensorMap tensors = RandomWeights(description);
  int64_t bytes = 0;
  for (const auto& [name, value] : tensors) bytes += static_cast<int64_t>(value.nbytes());
  ASSERT_TRUE(WriteOnnx(directory_, tensors, description, {}, bytes).ok());
  EXPECT_FALSE(fs::exists(directory_ / "model.onnx.data"));
  ASSERT_TRUE(WriteOnnx(directory_, tensors, description, {}, bytes - 1).ok());
  EXPECT_TRUE(fs::exists(directory_ / "model.onnx.data"));
}

TEST_F(OnnxModelTest, SharedNormsAreStoredOnce) {
  const onnx::ModelProto model = Export(Describe("shared_norm: true"));
  int takers = 0;
  for (const onnx::NodeProto& node : model.graph().node()) {
    takers += std::count(node.input().begin(), node.input().end(), "norm1.weight");
  }
  EXPECT_EQ(takers, 2);
  ExpectWellFormed(model);
}

TEST_F(OnnxModelTest, BatchNormUsesRunningMeans) {
  const onnx::ModelProto model = Export(Describe("norm_layer: NORM_LAYER_BATCH_NORM"));
  EXPECT_THAT(Operators(model), Contains("BatchNormalization"));
  EXPECT_THAT(Operators(model), Not(Contains("LayerNormalization")));
  EXPECT_NE(Find(model, "blocks.1.norm2.running_var"), nullptr);
  EXPECT_EQ(Find(model, "blocks.1.norm2.num_batches_tracked"), nullptr);
}

TEST_F(OnnxModelTest, EpsilonIsTheModels) {
  const onnx::ModelProto model = Export(Describe("layer_norm_eps: 0.25"));
  int norms = 0;
  for (const onnx::NodeProto& node : model.graph().node()) {
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (attribute.name() != "epsilon") continue;
      EXPECT_EQ(attribute.f(), 0.25f) << node.name();
      ++norms;
    }
  }
  EXPECT_EQ(norms, 5);
}

TEST_F(OnnxModelTest, AMissingTensorIsNamed) {
  const ModelDescription description = Describe();
  TensorMap tensors = RandomWeights(description);
  tensors.erase("blocks.1.attn.qkv.weight");
  tensors["head.bias"] = at::zeros({4});
  const absl::Status status = WriteOnnx(directory_, tensors, description, {});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string message(status.message());
  EXPECT_THAT(message, HasSubstr("missing blocks.1.attn.qkv.weight"));
  EXPECT_THAT(message, HasSubstr("head.bias (file [4], model [3])"));
  EXPECT_FALSE(fs::exists(directory_ / "model.onnx"));
}

TEST_F(OnnxModelTest, AnImpossibleConfigIsRefused) {
  ModelDescription description = Describe();
  const TensorMap tensors = RandomWeights(description);
  description.model.set_num_heads(3);
  const absl::Status status = WriteOnnx(directory_, tensors, description, {});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("model.embed_dim"));
}

TEST_F(OnnxModelTest, AFolderThatIsNotThereIsNamed) {
  const ModelDescription description = Describe();
  const absl::Status status =
      WriteOnnx(directory_ / "none", RandomWeights(description), description, {});
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("none/model.onnx"));
}

// A ModelConfig and what its graph must have.
struct Option {
  const char* name;
  const char* config;
  std::vector<std::string> values;  // names of nodes or initializers
  std::vector<std::string> absent;
};
void PrintTo(const Option& option, std::ostream* out) { *out << option.config; }

class OnnxOptionTest : public OnnxModelTest, public ::testing::WithParamInterface<Option> {};

TEST_P(OnnxOptionTest, HasWhatTheOptionAsksFor) {
  const ModelDescription description = Describe(GetParam().config);
  ASSERT_TRUE(ValidateModelConfig(description.model).ok());
  const onnx::ModelProto model = Export(description);
  ExpectWellFormed(model);
  std::set<std::string> names;
  for (const auto& node : model.graph().node()) names.insert(node.name());
  for (const auto& tensor : model.graph().initializer()) names.insert(tensor.name());
  for (const std::string& value : GetParam().values) EXPECT_THAT(names, Contains(value));
  for (const std::string& value : GetParam().absent) EXPECT_THAT(names, Not(Contains(value)));
  // Everything that the model computes with is in the graph.
  for (const auto& [name, value] : RandomWeights(description)) {
    if (!name.ends_with(".num_batches_tracked")) {
      EXPECT_THAT(names, Contains(name));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Every, OnnxOptionTest,
    ::testing::Values(
        Option{"average", "global_pool: GLOBAL_POOL_AVG", {"patches", "fc_norm"}, {"norm"}},
        Option{"average_norm_before",
               "global_pool: GLOBAL_POOL_AVG fc_norm: false",
               {"norm"},
               {"fc_norm"}},
        Option{"average_without_class_token",
               "global_pool: GLOBAL_POOL_AVG class_token: false",
               {},
               {"patches", "prefix_tokens"}},
        Option{"max", "global_pool: GLOBAL_POOL_MAX", {"patches", "fc_norm"}, {}},
        Option{"flatten",
               "global_pool: GLOBAL_POOL_FLATTEN class_token: false",
               {"by_feature"},
               {"patches"}},
        Option{"token_fc_norm", "fc_norm: true", {"fc_norm"}, {"norm"}},
        Option{"no_final_norm", "final_norm: false", {}, {"norm", "fc_norm"}},
        Option{"token_and_average",
               "global_pool: GLOBAL_POOL_TOKEN_AND_AVG",
               {"pooled.token", "pooled.patches", "pooled", "norm"},
               {"fc_norm"}},
        Option{"gelu", "", {"blocks.0.mlp.act.erf"}, {"blocks.0.mlp.act.tanh"}},
        Option{"gelu_tanh",
               "activation: ACTIVATION_GELU_TANH",
               {"blocks.0.mlp.act.tanh"},
               {"blocks.0.mlp.act.erf"}},
        Option{"quick_gelu",
               "activation: ACTIVATION_QUICK_GELU",
               {"blocks.1.mlp.act.sigmoid"},
               {"blocks.0.mlp.act.erf"}},
        Option{"encoder", "num_classes: 0", {"features"}, {"head.weight"}},
        Option{"distilled", "distillation_token: true", {"head", "head_dist"}, {}},
        Option{"distilled_representation",
               "distillation_token: true representation_size: 4",
               {"pre_logits.act", "pre_logits.act.dist"},
               {}},
        Option{"registers", "reg_tokens: 3", {"reg_token", "prefix_tokens"}, {}},
        Option{"no_embed_class", "no_embed_class: true reg_tokens: 1", {"positioned"}, {}},
        Option{"sincos", "pos_embed: POSITION_EMBEDDING_SINCOS_2D", {"positioned"}, {}},
        Option{
            "no_positions", "pos_embed: POSITION_EMBEDDING_NONE", {}, {"positioned", "pos_embed"}},
        Option{"pre_norm", "pre_norm: true", {"norm_pre"}, {"patch_embed.proj.bias"}},
        Option{"qk_norm", "qk_norm: true", {"blocks.1.attn.k_norm"}, {}},
        Option{"layer_scale", "init_values: 1e-5", {"blocks.0.ls1", "blocks.1.ls2"}, {}},
        Option{"no_qkv_bias", "qkv_bias: false", {}, {"blocks.0.attn.qkv.bias"}},
        Option{"no_proj_bias", "proj_bias: false", {}, {"blocks.0.attn.proj.bias"}},
        Option{"no_attn_proj", "attn_proj: false", {}, {"blocks.0.attn.proj"}},
        Option{"rectangular_patches", "patch_width: 4", {"patch_embed.proj"}, {}},
        Option{"representation", "representation_size: 4", {"pre_logits.act"}, {}},
        Option{"representation_gelu",
               "representation_size: 4 representation_activation: REPRESENTATION_ACTIVATION_GELU",
               {"pre_logits.act.erf"},
               {}},
        Option{"batch_norm",
               "norm_layer: NORM_LAYER_BATCH_NORM pre_norm: true global_pool: GLOBAL_POOL_AVG",
               {"norm_pre", "blocks.0.norm1", "fc_norm"},
               {}},
        Option{"shared_norm", "shared_norm: true", {"norm2.weight"}, {"blocks.0.norm1.weight"}},
        Option{"patch_norm",
               "patch_norm: true patch_width: 4",
               {"patch_embed.input_norm"},
               {"patch_embed.flat"}},
        Option{"scale_by_embed_dim", "scale_by_embed_dim: true", {"attn.scale"}, {}},
        Option{"dynamic_image_size", "dynamic_image_size: true", {}, {}}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace vit
