#include "core/models/model_repository.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "core/base/checksums.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/file.h"
#include "core/spec/defaults.h"
#include "core/tensor_file/safetensors.h"
#include "tests/core/infer/testing.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kParity = fs::path(VIT_SOURCE_DIR) / "tests/data/parity";

class ModelRepositoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    Reopen();
  }
  void TearDown() override { fs::remove_all(root_); }

  void Reopen() {
    damaged_.clear();
    repository_.reset();
    auto opened = ModelRepository::Open(root_ / "models", Device::Cpu(), Clock::Real(), &damaged_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    repository_ = *std::move(opened);
  }

  absl::StatusOr<vit::v1::ImportModelResponse> Import(const std::string& name,
                                                      const fs::path& path) {
    vit::v1::ImportModelRequest request;
    request.set_name(name);
    request.mutable_model()->set_num_heads(4);
    return repository_->Import(request, path);
  }

  // "pets@2 pets@1"
  std::vector<std::string> Names(const std::string& reference = "") {
    std::vector<std::string> names;
    const auto models = repository_->List(reference);
    EXPECT_TRUE(models.ok()) << models.status();
    for (const auto& model : *models) {
      names.push_back(model.name() + "@" + std::to_string(model.version()));
    }
    return names;
  }

  absl::StatusOr<ServableModel> Find(const std::string& text) {
    const absl::StatusOr<ModelRef> ref = ModelRef::Parse(text);
    EXPECT_TRUE(ref.ok()) << ref.status();
    return repository_->Find(*ref);
  }
  vit::v1::ModelVersion About(const std::string& text) {
    const auto models = repository_->List(text);
    EXPECT_TRUE(models.ok()) << models.status();
    return models->front();
  }

  fs::path root_;
  std::vector<std::string> damaged_;
  std::unique_ptr<ModelRepository> repository_;
};

TEST_F(ModelRepositoryTest, VersionsCountUpAndComeBackAfterARestart) {
  ASSERT_TRUE(Import("pets", kParity / "timm_cls/model.safetensors").ok());
  ASSERT_TRUE(Import("pets", kParity / "torchvision/wrapped.pth").ok());
  ASSERT_TRUE(Import("other", kParity / "google_npz/model.npz").ok());
  EXPECT_THAT(Names(), ElementsAre("other@1", "pets@2", "pets@1"));
  EXPECT_THAT(Names("pets"), ElementsAre("pets@2", "pets@1"));
  EXPECT_EQ(About("pets").version(), 2);
  EXPECT_EQ(About("pets@1").source(), "timm");
  const std::string before = About("pets").SerializeAsString();
  Reopen();
  EXPECT_THAT(damaged_, IsEmpty());
  EXPECT_THAT(Names(), ElementsAre("other@1", "pets@2", "pets@1"));
  EXPECT_EQ(About("pets").SerializeAsString(), before);
  EXPECT_EQ(About("pets").parameter_count(), 29482);
  EXPECT_EQ(About("pets").labels_size(), 10);
}

TEST_F(ModelRepositoryTest, ANumberIsNeverUsedAgain) {
  ASSERT_TRUE(Import("pets", kParity / "timm_cls/model.safetensors").ok());
  ASSERT_TRUE(Import("pets", kParity / "timm_cls/model.safetensors").ok());
  EXPECT_EQ(repository_->Remove("pets@2")->size(), 1);
  EXPECT_EQ(Import("pets", kParity / "timm_cls/model.safetensors")->model().version(), 3);
  EXPECT_EQ(repository_->Remove("pets")->size(), 2);
  EXPECT_THAT(Names(), IsEmpty());
  Reopen();
  EXPECT_EQ(Import("pets", kParity / "timm_cls/model.safetensors")->model().version(), 4);
}

TEST_F(ModelRepositoryTest, FilesInUseOutliveTheRemovalButNotTheNextStart) {
  ASSERT_TRUE(Import("pets", kParity / "timm_cls/model.safetensors").ok());
  ASSERT_TRUE(Import("pets", kParity / "timm_cls/model.safetensors").ok());
  std::optional<ServableModel> used = *Find("pets@1");
  const std::optional<ServableModel> kept = *Find("pets@2");
  ASSERT_TRUE(repository_->Remove("pets").ok());
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_TRUE(fs::exists(used->directory / "model.safetensors"));
  const fs::path directory = used->directory;
  used.reset();
  EXPECT_FALSE(fs::exists(directory));
  EXPECT_TRUE(fs::exists(kept->directory / "model.safetensors"));
  Reopen();  // as after a crash, with the files still there
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_FALSE(fs::exists(kept->directory));
}

TEST_F(ModelRepositoryTest, ImportingAgainWhatWasImportedGivesTheSameBytes) {
  ASSERT_TRUE(Import("a", kParity / "transformers").ok());
  const fs::path first = Find("a")->directory;
  ASSERT_TRUE(Import("b", first).ok());
  const fs::path second = Find("b")->directory;
  for (const char* file : {"model.safetensors", "labels.txt", "config.json"}) {
    EXPECT_EQ(*ReadFile(first / file, 1 << 20), *ReadFile(second / file, 1 << 20)) << file;
  }
}

TEST_F(ModelRepositoryTest, WhatIsNotThereIsNamed) {
  ASSERT_TRUE(Import("pets", kParity / "timm_cls/model.safetensors").ok());
  const absl::Status name = Find("pet").status();
  EXPECT_EQ(name.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(name.message()), HasSubstr("did you mean 'pets'?"));
  EXPECT_THAT(std::string(Find("pets@7").status().message()),
              HasSubstr("model pets has no version 7; its newest is 1"));
  for (const char* bad :
       {"../x", "a/b", ".hidden", "pets@", "pets@0", "pets@x", "latest", "run:a"}) {
    EXPECT_EQ(repository_->List(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_EQ(repository_->Remove("").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Import("../evil", kParity / "timm_cls/model.safetensors").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(ModelRepositoryTest, DamagedAndUnfinishedFoldersHideNoOthers) {
  ASSERT_TRUE(Import("pets", kParity / "timm_cls/model.safetensors").ok());
  ASSERT_TRUE(Import("pets", kParity / "timm_cls/model.safetensors").ok());
  std::ofstream(root_ / "models/pets/2/config.json") << "{";
  fs::create_directories(root_ / "models/pets/3.tmp");
  Reopen();
  ASSERT_EQ(damaged_.size(), 1);
  EXPECT_THAT(damaged_[0], HasSubstr("model pets@2"));
  EXPECT_THAT(Names(), ElementsAre("pets@1"));
  EXPECT_FALSE(fs::exists(root_ / "models/pets/3.tmp"));
  EXPECT_TRUE(fs::exists(root_ / "models/pets/2"));
  EXPECT_EQ(Import("pets", kParity / "timm_cls/model.safetensors")->model().version(), 3);
}

TEST_F(ModelRepositoryTest, ACheckpointIsLinkedWithItsRunAndItsDamageIsFound) {
  TestCheckpoints checkpoints;
  checkpoints.Serve("r1", 7);
  const auto checkpoint = checkpoints.FindModel("run:r1");
  const fs::path& directory = checkpoint->directory;
  vit::v1::ModelVersion about;
  about.set_accuracy(0.5);
  const auto added =
      repository_->AddCheckpoint("pets", *checkpoint, v1::PRECISION_CHOICE_UNSPECIFIED, about);
  ASSERT_TRUE(added.ok()) << added.status();
  EXPECT_EQ(added->origin(), "run:r1@7");
  EXPECT_TRUE(fs::equivalent(Find("pets")->directory / "model.safetensors",
                             directory / "model.safetensors"));
  Reopen();
  EXPECT_EQ(Find("pets")->run, "r1");
  EXPECT_EQ(Find("pets")->step, 7);
  EXPECT_EQ(About("pets").accuracy(), 0.5);

  std::ofstream(directory / "labels.txt", std::ios::app) << "one more\n";
  EXPECT_EQ(repository_->AddCheckpoint("pets", *checkpoint, v1::PRECISION_CHOICE_UNSPECIFIED, about)
                .status()
                .code(),
            absl::StatusCode::kDataLoss);
  EXPECT_THAT(Names(), ElementsAre("pets@1"));
}

TEST_F(ModelRepositoryTest, AVersionIsServedInThePrecisionThatWasChosen) {
  vit::v1::ImportModelRequest request;
  request.set_name("pets");
  request.mutable_model()->set_num_heads(4);
  const auto import = [&](const fs::path& path) {
    const auto response = repository_->Import(request, path);
    EXPECT_TRUE(response.ok()) << response.status();
    Reopen();
    EXPECT_EQ(ReadModelDescription(Find("pets")->directory)->precision, About("pets").precision());
    return About("pets").precision();
  };
  const fs::path weights = kParity / "timm_cls/model.safetensors";
  EXPECT_EQ(import(weights), v1::PRECISION_FLOAT32);
  request.set_precision(v1::PRECISION_CHOICE_BFLOAT16);
  EXPECT_EQ(import(weights), v1::PRECISION_BFLOAT16);
  const fs::path in_bfloat16 = Find("pets")->directory;
  request.set_precision(v1::PRECISION_CHOICE_UNSPECIFIED);
  EXPECT_EQ(import(in_bfloat16), v1::PRECISION_BFLOAT16);
  request.set_precision(v1::PRECISION_CHOICE_FLOAT32);
  EXPECT_EQ(import(in_bfloat16), v1::PRECISION_FLOAT32);
  request.set_precision(v1::PRECISION_CHOICE_AUTO);
  EXPECT_EQ(import(weights), FasterPrecision(Device::Cpu().least_bfloat16_width(),
                                             About("pets").model().embed_dim()));
  request.set_precision(static_cast<v1::PrecisionChoice>(9));
  EXPECT_EQ(repository_->Import(request, weights).status(),
            absl::InvalidArgumentError("precision 9 is not supported"));
}

TEST_F(ModelRepositoryTest, ACheckpointMayBeServedInAnotherPrecisionThanItsRun) {
  TestCheckpoints checkpoints;
  checkpoints.Serve("r1", 7);
  const auto checkpoint = checkpoints.FindModel("run:r1");
  const auto added =
      repository_->AddCheckpoint("pets", *checkpoint, v1::PRECISION_CHOICE_BFLOAT16, {});
  ASSERT_TRUE(added.ok()) << added.status();
  EXPECT_EQ(added->precision(), v1::PRECISION_BFLOAT16);
  const fs::path directory = Find("pets")->directory;
  EXPECT_EQ(VerifyChecksums(directory, ModelFiles()), absl::OkStatus());
  EXPECT_TRUE(
      fs::equivalent(directory / "model.safetensors", checkpoint->directory / "model.safetensors"));
  EXPECT_EQ(ReadModelDescription(directory)->precision, v1::PRECISION_BFLOAT16);
  EXPECT_EQ(ReadModelDescription(checkpoint->directory)->precision, v1::PRECISION_FLOAT32);
}

TEST_F(ModelRepositoryTest, ImportsTellWhatWasAssumedAndRefuseWhatContradicts) {
  const auto response = Import("pets", kParity / "torchvision/model.pth");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->model().source(), "torchvision");
  EXPECT_EQ(response->model().preprocessing().interpolation(), vit::v1::INTERPOLATION_BILINEAR);
  ASSERT_EQ(response->notes_size(), 2);
  EXPECT_THAT(response->notes(0), HasSubstr("assumed, as the file does not say: mean 0.485"));
  EXPECT_THAT(response->notes(1), HasSubstr("no labels"));

  vit::v1::ImportModelRequest request;
  request.set_name("pets");
  request.mutable_model()->set_num_heads(4);
  request.mutable_model()->set_depth(3);
  EXPECT_THAT(
      std::string(
          repository_->Import(request, kParity / "torchvision/model.pth").status().message()),
      HasSubstr("model.depth is given as 3, but the weights have 2"));
  request.mutable_model()->clear_depth();
  request.add_labels("only one");
  EXPECT_THAT(
      std::string(
          repository_->Import(request, kParity / "torchvision/model.pth").status().message()),
      HasSubstr("1 labels for the head's 10 classes"));
  EXPECT_EQ(About("pets").version(), 1);
}

TEST_F(ModelRepositoryTest, WhatWasTakenOfAFileIsRecorded) {
  const auto weights = ReadSafetensors(kParity / "timm_cls/model.safetensors");
  ASSERT_TRUE(weights.ok());
  NamedTensors tensors;
  for (const auto& [name, tensor] : weights->tensors) {
    tensors.emplace_back("module." + name, tensor);
    tensors.emplace_back("ema." + name, tensor + 1);
  }
  ASSERT_TRUE(WriteSafetensors(root_ / "both.safetensors", tensors, {}).ok());
  vit::v1::ImportModelRequest request;
  request.set_name("pets");
  request.mutable_model()->set_num_heads(4);
  auto response = repository_->Import(request, root_ / "both.safetensors");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->model().prefix(), "ema.");
  EXPECT_EQ(response->model().weights(), vit::v1::WEIGHTS_CHOICE_AVERAGED);
  request.set_weights(vit::v1::WEIGHTS_CHOICE_RAW);
  ASSERT_TRUE(repository_->Import(request, root_ / "both.safetensors").ok());
  request.clear_weights();
  request.set_prefix("module.");
  ASSERT_TRUE(repository_->Import(request, root_ / "both.safetensors").ok());
  Reopen();
  for (const char* version : {"pets@2", "pets@3"}) {
    EXPECT_EQ(About(version).prefix(), "module.");
    EXPECT_EQ(About(version).weights(), vit::v1::WEIGHTS_CHOICE_RAW);
  }
  EXPECT_EQ(About("pets@1").prefix(), "ema.");
}

TEST_F(ModelRepositoryTest, AnEncoderWithoutAHeadComesBackAfterARestart) {
  const auto weights = ReadSafetensors(kParity / "timm_cls/model.safetensors");
  ASSERT_TRUE(weights.ok());
  NamedTensors tensors;
  for (const auto& [name, tensor] : weights->tensors) {
    if (!name.starts_with("head.")) tensors.emplace_back(name, tensor);
  }
  ASSERT_TRUE(WriteSafetensors(root_ / "encoder.safetensors", tensors, {}).ok());
  ASSERT_TRUE(Import("encoder", root_ / "encoder.safetensors").ok());
  Reopen();
  EXPECT_THAT(damaged_, IsEmpty());
  EXPECT_EQ(About("encoder").model().num_classes(), 0);
  EXPECT_EQ(About("encoder").labels_size(), 0);
}

TEST_F(ModelRepositoryTest, HuggingFacesConfigIsUnderstood) {
  vit::v1::ImportModelRequest request;
  request.set_name("hf");
  const auto response = repository_->Import(request, kParity / "transformers");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->model().model().num_heads(), 4);
  EXPECT_EQ(response->model().model().layer_norm_eps(), 1e-12);
  EXPECT_EQ(response->model().labels(3), "LABEL_3");
}

}  // namespace
}  // namespace vit
