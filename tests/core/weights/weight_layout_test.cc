#include "core/weights/layouts/weight_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "core/base/compute/named_tensors.h"
#include "core/model/model_config.h"
#include "core/model/vision_transformer.h"
#include "core/tensor_file/tensor_file.h"
#include "core/weights/choose_weights.h"
#include "core/weights/infer_config.h"
#include "core/weights/load_weights.h"

namespace vit {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path kParity = std::filesystem::path(VIT_SOURCE_DIR) / "tests/data/parity";

TensorMap Read(const std::string& file) {
  auto read = ReadTensorFile(kParity / file);
  EXPECT_TRUE(read.ok()) << read.status();
  return read.ok() ? read->tensors : TensorMap();
}

double RelativeError(const at::Tensor& actual, const at::Tensor& expected) {
  return ((actual - expected).abs().max() / expected.abs().max().clamp_min(1e-12)).item<double>();
}

struct Case {
  const char* name;
  const char* file;
  const char* layout;
  int num_heads;  // if the file does not say
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.file; }

class LayoutParityTest : public ::testing::TestWithParam<Case> {};

TEST_P(LayoutParityTest, LogitsAndGradientsEqualTheirMakers) {
  const auto read = ReadTensorFile(kParity / GetParam().file);
  ASSERT_TRUE(read.ok()) << read.status();
  const auto chosen = ChooseWeights(*read, {});
  ASSERT_TRUE(chosen.ok()) << chosen.status();
  const TensorMap expected = Read(std::string(GetParam().name) + "/expected.safetensors");
  auto weights = ToTimmLayout(chosen->tensors);
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(weights->layout, GetParam().layout);
  vit::v1::ModelConfig known = weights->config;
  if (GetParam().num_heads > 0) known.set_num_heads(GetParam().num_heads);
  const auto config = InferModelConfig(weights->tensors, known);
  ASSERT_TRUE(config.ok()) << config.status();

  VisionTransformer model(*config);
  const absl::Status loaded = LoadWeights(weights->tensors, *model);
  ASSERT_TRUE(loaded.ok()) << loaded;
  model->eval();
  const at::Tensor logits = model->forward(expected.at("input"));
  EXPECT_LT(RelativeError(logits, expected.at("logits")), 1e-5);
  if (!expected.contains("loss")) return;  // only their makers' logits were kept
  const at::Tensor loss = at::cross_entropy_loss(logits, expected.at("labels"));
  EXPECT_LT(RelativeError(loss, expected.at("loss")), 1e-5);
  loss.backward();

  // The gradients are converted like the weights, so that both have timm's names.
  TensorMap gradients;
  for (const auto& [name, tensor] : expected) {
    if (name.starts_with("grad.")) gradients[name.substr(5)] = tensor;
  }
  auto renamed = ToTimmLayout(gradients);
  ASSERT_TRUE(renamed.ok()) << renamed.status();
  size_t compared = 0;
  for (const auto& parameter : model->named_parameters()) {
    at::Tensor actual = parameter.value().grad();
    ASSERT_TRUE(renamed->tensors.contains(parameter.key())) << parameter.key();
    at::Tensor gradient = renamed->tensors.at(parameter.key());
    if (parameter.key().ends_with("qkv.bias")) {
      // The key third is zero except for rounding.
      const int64_t third = actual.size(0) / 3;
      EXPECT_LT(actual.slice(0, third, 2 * third).abs().max().item<double>(), 1e-6);
      actual = at::cat({actual.slice(0, 0, third), actual.slice(0, 2 * third)});
      gradient = at::cat({gradient.slice(0, 0, third), gradient.slice(0, 2 * third)});
    }
    EXPECT_LT(RelativeError(actual, gradient), 1e-4) << parameter.key();
    ++compared;
  }
  EXPECT_EQ(compared, renamed->tensors.size());
}

INSTANTIATE_TEST_SUITE_P(
    Cases, LayoutParityTest,
    ::testing::Values(Case{"transformers", "transformers/model.safetensors", "Hugging Face", 4},
                      Case{"torchvision", "torchvision/model.pth", "torchvision", 4},
                      Case{"torchvision", "torchvision/wrapped.pth", "torchvision", 4},
                      Case{"google_npz", "google_npz/model.npz", "Google's", 0},
                      Case{"google_npz", "google_npz/model_compressed.npz", "Google's", 0},
                      Case{"shared_norm", "shared_norm/model.safetensors", "shared-norm", 4},
                      Case{"batch_norm", "batch_norm/model.safetensors", "batch-norm", 4},
                      Case{"timm_cls", "timm_cls/model.safetensors", "timm", 4},
                      Case{"timm_registers_no_embed_class",
                           "timm_registers_no_embed_class/model.safetensors", "timm", 4},
                      Case{"deit_distilled", "deit_distilled/model.safetensors", "timm", 4}),
    [](const auto& info) {
      return absl::StrReplaceAll(
          std::filesystem::path(info.param.file).replace_extension("").string(), {{"/", "_"}});
    });

TEST(WeightLayoutTest, ForeignNamesAreRefusedWithExamples) {
  const auto weights = ToTimmLayout({{"conv1.weight", at::ones({1})}, {"fc.bias", at::ones({1})}});
  EXPECT_EQ(weights.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(weights.status().message()), HasSubstr("conv1.weight, fc.bias"));
}

TEST(WeightLayoutTest, AQueryWithoutItsKeyIsNamed) {
  TensorMap tensors = Read("transformers/model.safetensors");
  tensors.erase("vit.encoder.layer.1.attention.attention.key.weight");
  EXPECT_THAT(std::string(ToTimmLayout(tensors).status().message()),
              HasSubstr("blocks.1.attn.key.weight"));
}

// As big_vision saves them: blocks stacked in one tensor, the training state's prefixes, its own
// numbers in the names.
TEST(WeightLayoutTest, StackedBlocksWithPrefixesAreTheSameModel) {
  const TensorMap one_by_one = Read("google_npz/model.npz");
  TensorMap stacked;
  std::map<std::string, std::vector<at::Tensor>> blocks;
  for (const auto& [name, tensor] : one_by_one) {
    const std::string start = "Transformer/encoderblock_";
    if (name.starts_with(start)) {
      std::string rest = name.substr(start.size() + 2);
      rest = absl::StrReplaceAll(
          rest, {{"MultiHeadDotProductAttention_1", "MultiHeadDotProductAttention_0"},
                 {"MlpBlock_3", "MlpBlock_0"},
                 {"LayerNorm_2", "LayerNorm_1"}});
      blocks[rest].push_back(tensor);
    } else if (name == "Transformer/posembed_input/pos_embedding") {
      stacked["opt/target/params/pos_embedding"] = tensor;
    } else {
      stacked["opt/target/params/" + name] = tensor;
    }
  }
  for (const auto& [rest, parts] : blocks) {
    stacked["opt/target/params/Transformer/encoderblock/" + rest] = at::stack(parts);
  }
  const auto expected = ToTimmLayout(one_by_one);
  const auto actual = ToTimmLayout(stacked);
  ASSERT_TRUE(expected.ok()) << expected.status();
  ASSERT_TRUE(actual.ok()) << actual.status();
  ASSERT_EQ(actual->tensors.size(), expected->tensors.size());
  for (const auto& [name, tensor] : expected->tensors) {
    ASSERT_TRUE(actual->tensors.contains(name)) << name;
    EXPECT_TRUE(at::equal(actual->tensors.at(name), tensor)) << name;
  }
  EXPECT_EQ(actual->config.num_heads(), 4);
}

TEST(WeightLayoutTest, NamesOfDinoV2AndDeitThreeBecomeTimms) {
  TensorMap tensors = Read("timm_registers_no_embed_class/model.safetensors");
  TensorMap own;
  for (const auto& [name, tensor] : tensors) {
    own[absl::StrReplaceAll(name, {{"reg_token", "register_tokens"}, {"ls1.gamma", "gamma_1"}})] =
        tensor;
  }
  const auto weights = ToTimmLayout(own);
  ASSERT_TRUE(weights.ok()) << weights.status();
  for (const auto& [name, tensor] : tensors) EXPECT_TRUE(weights->tensors.contains(name)) << name;
}

TEST(WeightLayoutTest, BlocksInChunksAreTheSameModel) {
  const TensorMap timms = Read("timm_cls/model.safetensors");
  TensorMap chunked;
  for (const auto& [name, tensor] : timms) {
    chunked[absl::StrReplaceAll(
        name, {{"blocks.0.", "blocks.0.0."}, {"blocks.1.", "blocks.1.1."}})] = tensor;
  }
  const auto weights = ToTimmLayout(chunked);
  ASSERT_TRUE(weights.ok()) << weights.status();
  ASSERT_EQ(weights->tensors.size(), timms.size());
  for (const auto& [name, tensor] : timms) {
    ASSERT_TRUE(weights->tensors.contains(name)) << name;
    EXPECT_TRUE(weights->tensors.at(name).equal(tensor)) << name;
  }
}

// transformers 5 has other names in memory than those that it writes.
TEST(WeightLayoutTest, NamesOfTransformersInMemoryAreTheSameModel) {
  const TensorMap written = Read("transformers/model.safetensors");
  TensorMap memory;
  for (const auto& [name, tensor] : written) {
    memory[absl::StrReplaceAll(name, {{"encoder.layer.", "layers."},
                                      {"attention.attention.query.", "attention.q_proj."},
                                      {"attention.attention.key.", "attention.k_proj."},
                                      {"attention.attention.value.", "attention.v_proj."},
                                      {"attention.output.dense.", "attention.o_proj."},
                                      {"intermediate.dense.", "mlp.fc1."},
                                      {"output.dense.", "mlp.fc2."}})] = tensor;
  }
  ASSERT_NE(memory.count("vit.layers.0.mlp.fc1.weight"), 0u);
  const auto expected = ToTimmLayout(written), actual = ToTimmLayout(memory);
  ASSERT_TRUE(expected.ok()) << expected.status();
  ASSERT_TRUE(actual.ok()) << actual.status();
  ASSERT_EQ(actual->tensors.size(), expected->tensors.size());
  for (const auto& [name, tensor] : expected->tensors) {
    EXPECT_TRUE(at::equal(actual->tensors.at(name), tensor)) << name;
  }
}

// Meta's and transformers' files of DINOv2 with registers: the class token and the patches have
// positions, the registers have none.
TEST(WeightLayoutTest, TheClassTokensPositionMovesIntoItBesideRegisters) {
  const TensorMap timm = Read("timm_registers_no_embed_class/model.safetensors");
  TensorMap meta = timm;
  const at::Tensor position = at::full({1, 1, 32}, 0.25);
  meta["pos_embed"] = at::cat({position, timm.at("pos_embed")}, 1);
  const auto weights = ToTimmLayout(meta);
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_TRUE(at::equal(weights->tensors.at("pos_embed"), timm.at("pos_embed")));
  EXPECT_TRUE(at::equal(weights->tensors.at("cls_token"), timm.at("cls_token") + position));
  // timm's own stay as they are.
  EXPECT_TRUE(at::equal(ToTimmLayout(timm)->tensors.at("cls_token"), timm.at("cls_token")));
}

TEST(InferConfigTest, HeadsAreCountedByTheWidthOfTheirNorms) {
  const auto config = InferModelConfig(Read("timm_qk_norm/model.safetensors"), {});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->num_heads(), 4);
}

TEST(InferConfigTest, AskForTheHeadCountThatShapesDoNotTell) {
  const TensorMap tensors = Read("timm_cls/model.safetensors");
  const auto config = InferModelConfig(tensors, {});
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(config.status().message()), HasSubstr("model.num_heads"));
}

TEST(InferConfigTest, WithoutAHeadThereAreNoClasses) {
  vit::v1::ModelConfig known;
  known.set_num_heads(4);
  TensorMap tensors = Read("timm_cls/model.safetensors");
  EXPECT_EQ(InferModelConfig(tensors, known)->num_classes(), 10);
  tensors.erase("head.weight");
  EXPECT_EQ(InferModelConfig(tensors, known)->num_classes(), 0);
}

TEST(InferConfigTest, AHeadOfTwiceTheWidthTakesTokenAndMean) {
  vit::v1::ModelConfig known;
  known.set_num_heads(4);
  TensorMap tensors = Read("timm_cls/model.safetensors");
  EXPECT_EQ(InferModelConfig(tensors, known)->global_pool(), vit::v1::GLOBAL_POOL_TOKEN);
  tensors["head.weight"] = at::ones({10, 64});
  EXPECT_EQ(InferModelConfig(tensors, known)->global_pool(), vit::v1::GLOBAL_POOL_TOKEN_AND_AVG);
}

TEST(InferConfigTest, NoPositionsAreTakenForGrantedOnlyWhereSaid) {
  vit::v1::ModelConfig known;
  known.set_num_heads(4);
  known.set_image_size(32);
  TensorMap tensors = Read("timm_cls/model.safetensors");
  tensors.erase("pos_embed");
  EXPECT_THAT(std::string(InferModelConfig(tensors, known).status().message()),
              HasSubstr("rotary"));
  known.set_pos_embed(vit::v1::POSITION_EMBEDDING_NONE);
  EXPECT_TRUE(InferModelConfig(tensors, known).ok());
}

TEST(InferConfigTest, OddShapesAreNamed) {
  vit::v1::ModelConfig known;
  known.set_num_heads(4);
  TensorMap tensors = Read("timm_cls/model.safetensors");
  tensors["pos_embed"] = at::ones({1, 60, 32});
  EXPECT_THAT(std::string(InferModelConfig(tensors, known).status().message()),
              HasSubstr("'pos_embed' has 60 positions"));
  tensors["blocks.0.mlp.fc1.weight"] = at::ones({4});
  EXPECT_THAT(std::string(InferModelConfig(tensors, known).status().message()),
              HasSubstr("'blocks.0.mlp.fc1.weight' is [4]"));
}

}  // namespace
}  // namespace vit
