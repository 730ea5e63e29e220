#include "core/weights/choose_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace vit {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::vit::v1::WEIGHTS_CHOICE_AVERAGED;
using ::vit::v1::WEIGHTS_CHOICE_RAW;
using ::vit::v1::WEIGHTS_CHOICE_UNSPECIFIED;

const std::vector<std::string> kTimm = {"patch_embed.proj.weight", "blocks.0.norm1.weight"};

// A file of these tensors, each with another value.
class File {
 public:
  File& Add(const std::string& prefix, const std::vector<std::string>& names = kTimm) {
    for (const std::string& name : names) {
      file_.tensors[prefix + name] = at::full({1}, static_cast<double>(file_.tensors.size()));
    }
    return *this;
  }
  // A dict of a PyTorch file.
  File& Section(const std::string& prefix) {
    file_.sections.insert(prefix);
    return *this;
  }
  absl::StatusOr<ChosenWeights> Choose(
      const std::string& prefix = "",
      vit::v1::WeightsChoice weights = WEIGHTS_CHOICE_UNSPECIFIED) const {
    return ChooseWeights(file_, {.prefix = prefix, .weights = weights});
  }
  std::string Message(const std::string& prefix = "",
                      vit::v1::WeightsChoice weights = WEIGHTS_CHOICE_UNSPECIFIED) const {
    const auto chosen = Choose(prefix, weights);
    EXPECT_EQ(chosen.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(chosen.status().message());
  }
  const TensorFile& file() const { return file_; }

 private:
  TensorFile file_;
};

std::vector<std::string> Names(const ChosenWeights& chosen) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : chosen.tensors) names.push_back(name);
  return names;
}

// Expects the tensors that are under `prefix` in the file.
void ExpectTaken(const File& file, const ChosenWeights& chosen, const std::string& prefix) {
  EXPECT_FALSE(chosen.tensors.empty());
  for (const auto& [name, tensor] : chosen.tensors) {
    EXPECT_TRUE(at::equal(tensor, file.file().tensors.at(prefix + name))) << name;
  }
}

TEST(ChooseWeightsTest, ThePrefixIsWhatStandsBeforeThePatchProjection) {
  for (const char* prefix : {"", "module.", "_orig_mod.", "model.", "backbone.", "net.",
                             "module._orig_mod.model.backbone.", "teacher."}) {
    const File file = File().Add(prefix);
    const auto chosen = file.Choose();
    ASSERT_TRUE(chosen.ok()) << chosen.status();
    EXPECT_EQ(chosen->prefix, prefix);
    EXPECT_EQ(chosen->weights, WEIGHTS_CHOICE_UNSPECIFIED);
    EXPECT_THAT(Names(*chosen), ElementsAre("blocks.0.norm1.weight", "patch_embed.proj.weight"));
    ExpectTaken(file, *chosen, prefix);
  }
}

TEST(ChooseWeightsTest, EveryLayoutHasItsPrefix) {
  const std::vector<std::vector<std::string>> layouts = {
      {"conv_proj.weight", "encoder.ln.weight"},
      {"embeddings.patch_embeddings.projection.weight", "encoder.layer.0.norm1.weight"},
      {"patch_proj.weight", "norm1.weight"},
      {"patchify.weight", "blocks.0.norm1.weight"}};
  for (const auto& names : layouts) {
    const File file = File().Add("module.net.", names).Add("criterion.", {"weight"});
    const auto chosen = file.Choose();
    ASSERT_TRUE(chosen.ok()) << chosen.status();
    EXPECT_EQ(chosen->prefix, "module.net.");
    ExpectTaken(file, *chosen, "module.net.");
    EXPECT_EQ(chosen->tensors.size(), 2u);
  }
  const File google = File().Add("img/", {"embedding/kernel", "Transformer/encoder_norm/scale"});
  EXPECT_EQ(google.Choose()->prefix, "img/");
}

// transformers' name for the model, Flax's for the parameters and scripts' for the state dict are
// not part of a prefix.
TEST(ChooseWeightsTest, WhatBelongsToTheFormatIsNoPrefix) {
  const std::string projection = "embeddings.patch_embeddings.projection.weight";
  EXPECT_EQ(File().Add("vit.", {projection}).Choose()->prefix, "");
  EXPECT_EQ(File().Add("model.dinov2.", {projection}).Choose()->prefix, "model.");
  EXPECT_EQ(File().Add("opt/target/params/", {"embedding/kernel"}).Choose()->prefix, "");
  EXPECT_EQ(File().Section("state_dict.").Add("state_dict.").Choose()->prefix, "");
  EXPECT_EQ(File().Section("state_dict.").Add("state_dict.model.").Choose()->prefix, "model.");
  EXPECT_EQ(File().Section("teacher.").Add("teacher.backbone.").Choose()->prefix,
            "teacher.backbone.");
}

TEST(ChooseWeightsTest, WhatIsBesideTheModelIsNamed) {
  const auto chosen = File().Add("model.").Add("criterion.", {"weight"}).Add("", {"step"}).Choose();
  ASSERT_TRUE(chosen.ok()) << chosen.status();
  EXPECT_THAT(chosen->notes,
              ElementsAre("used: the model at prefix 'model.'",
                          "not used, as it is outside the model: criterion.weight, step"));
  EXPECT_THAT(File().Add("").Choose()->notes, IsEmpty());
}

TEST(ChooseWeightsTest, AHeadMayStandAboveTheModel) {
  for (const char* head : {"head.weight", "classifier.weight", "fc.weight"}) {
    const auto chosen =
        File().Add("model.backbone.").Add("model.", {head, "scale"}).Add("", {head}).Choose();
    ASSERT_TRUE(chosen.ok()) << chosen.status();
    EXPECT_THAT(Names(*chosen), Contains(head));
    EXPECT_EQ(chosen->tensors.size(), 3u);
    // The nearest one.
    EXPECT_EQ(chosen->tensors.at(head).item<double>(), head[0] == 's' ? 3 : 2);
  }
  // If the model has its own head, that is used.
  const File own = File().Add("net.").Add("net.", {"head.weight"}).Add("", {"head.weight"});
  ExpectTaken(own, *own.Choose(), "net.");
}

TEST(ChooseWeightsTest, SeveralModelsAreListedAndOneIsAskedFor) {
  const File file = File().Add("student.backbone.").Add("teacher.backbone.");
  EXPECT_THAT(file.Message(), AllOf(HasSubstr("'student.backbone.', 'teacher.backbone.'"),
                                    HasSubstr("--prefix"), HasSubstr("init_prefix")));
  for (const char* prefix : {"teacher.backbone.", "teacher.", "teacher"}) {
    const auto chosen = file.Choose(prefix);
    ASSERT_TRUE(chosen.ok()) << chosen.status();
    EXPECT_EQ(chosen->prefix, "teacher.backbone.");
    ExpectTaken(file, *chosen, "teacher.backbone.");
    EXPECT_EQ(file.Choose(chosen->prefix)->prefix, chosen->prefix);
  }
  EXPECT_THAT(file.Message("backbone."), HasSubstr("no model's names begin with it"));
  const File bare = File().Add("").Add("teacher.");
  EXPECT_THAT(bare.Message(), HasSubstr("no prefix ('.')"));
  const auto chosen = bare.Choose(".");
  ASSERT_TRUE(chosen.ok()) << chosen.status();
  EXPECT_EQ(chosen->tensors.size(), 2u);
  EXPECT_EQ(chosen->prefix, ".");
}

TEST(ChooseWeightsTest, AveragedWeightsAreTakenUnlessRawOnesAreAskedFor) {
  for (const char* averaged : {"state_dict_ema.", "model_ema.", "ema_model.", "swa."}) {
    const File file =
        File().Section("state_dict.").Section(averaged).Add("state_dict.").Add(averaged);
    const auto chosen = file.Choose();
    ASSERT_TRUE(chosen.ok()) << chosen.status();
    EXPECT_EQ(chosen->weights, WEIGHTS_CHOICE_AVERAGED);
    EXPECT_EQ(chosen->prefix, "");
    ExpectTaken(file, *chosen, averaged);
    EXPECT_THAT(chosen->notes, Contains(HasSubstr("the averaged weights")));
    const auto raw = file.Choose("", WEIGHTS_CHOICE_RAW);
    ASSERT_TRUE(raw.ok()) << raw.status();
    EXPECT_EQ(raw->weights, WEIGHTS_CHOICE_RAW);
    ExpectTaken(file, *raw, "state_dict.");
    ExpectTaken(file, *file.Choose("", WEIGHTS_CHOICE_AVERAGED), averaged);
  }
}

TEST(ChooseWeightsTest, WhatAFileDoesNotHaveIsAnError) {
  EXPECT_THAT(File().Add("module.").Message("", WEIGHTS_CHOICE_AVERAGED),
              HasSubstr("averaged weights are requested, but the file has none"));
  const File averaged = File().Section("state_dict_ema.").Add("state_dict_ema.");
  EXPECT_THAT(averaged.Message("", WEIGHTS_CHOICE_RAW), HasSubstr("'state_dict_ema.'"));
  EXPECT_EQ(averaged.Choose()->weights, WEIGHTS_CHOICE_AVERAGED);
  EXPECT_TRUE(File().Add("").Choose("", WEIGHTS_CHOICE_RAW).ok());
}

TEST(ChooseWeightsTest, AveragingModulesOfTorchAndLightningAreKnown) {
  const File torch = File().Add("module.").Add("", {"n_averaged"});
  EXPECT_EQ(torch.Choose()->weights, WEIGHTS_CHOICE_AVERAGED);
  const File lightning = File()
                             .Section("state_dict.")
                             .Section("current_model_state.")
                             .Add("state_dict.net.")
                             .Add("current_model_state.net.");
  ExpectTaken(lightning, *lightning.Choose(), "state_dict.net.");
  const auto raw = lightning.Choose("", WEIGHTS_CHOICE_RAW);
  ASSERT_TRUE(raw.ok()) << raw.status();
  ExpectTaken(lightning, *raw, "current_model_state.net.");
}

TEST(ChooseWeightsTest, MomentsOfAnOptimizerAreNoModel) {
  const File file =
      File().Add("params/", {"embedding/kernel"}).Add("opt/0/mu/", {"embedding/kernel"});
  const auto chosen = file.Choose();
  ASSERT_TRUE(chosen.ok()) << chosen.status();
  ExpectTaken(file, *chosen, "params/");
}

}  // namespace
}  // namespace vit
