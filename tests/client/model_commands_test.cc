// models, publish, import, load, unload, and rm of models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/client/fake_vitd.h"

namespace vit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::ModelVersion Pets(int64_t version) {
  v1::ModelVersion model;
  model.set_name("pets");
  model.set_version(version);
  model.set_origin("run:7f3a2c@1200");
  model.set_source("vit_small_patch16_224");
  model.mutable_create_time()->set_seconds(1'700'000'000);
  model.set_accuracy(0.689);
  model.set_loss(0.9021);
  model.set_parameter_count(21'700'000);
  model.set_size_bytes(86'800'000);
  model.mutable_model()->set_image_size(224);
  model.mutable_model()->set_patch_size(16);
  model.mutable_model()->set_embed_dim(384);
  model.mutable_model()->set_depth(12);
  model.mutable_model()->set_num_heads(6);
  model.mutable_model()->set_num_classes(3);
  model.mutable_preprocessing()->set_interpolation(v1::INTERPOLATION_BICUBIC);
  model.mutable_preprocessing()->mutable_eval()->set_crop_pct(0.9);
  for (int i = 0; i < 3; ++i) {
    model.mutable_preprocessing()->add_mean(0.5);
    model.mutable_preprocessing()->add_std(0.25);
  }
  return model;
}

TEST(ModelsCommandTest, ListsVersionsAndFitsTheTerminal) {
  FakeAnswers answers;
  answers.list_models = [](const v1::ListModelsRequest& request, v1::ListModelsResponse* response) {
    EXPECT_EQ(request.model(), "");
    *response->add_models() = Pets(2);
    *response->add_models() = Pets(1);
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"models"}, Tty(80));
  EXPECT_EQ(outcome.exit_code, kExitOk);
  EXPECT_THAT(outcome.out, HasSubstr("pets@2"));
  EXPECT_THAT(outcome.out, HasSubstr("68.9%"));
  EXPECT_LE(WidestLine(outcome.out), 80);
}

TEST(ModelsCommandTest, WithoutAnySaysHowToPublish) {
  FakeAnswers answers;
  answers.list_models = [](const auto&, auto*) { return grpc::Status::OK; };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"models"});
  EXPECT_EQ(outcome.exit_code, kExitOk);
  EXPECT_THAT(outcome.err, HasSubstr(" publish RUN --as NAME\n"));
}

TEST(ModelsCommandTest, ShowsOneWithItsLabelsAndPreprocessing) {
  FakeAnswers answers;
  answers.list_models = [](const v1::ListModelsRequest& request, v1::ListModelsResponse* response) {
    EXPECT_EQ(request.model(), "pets@2");
    v1::ModelVersion* model = response->add_models();
    *model = Pets(2);
    for (const char* label : {"cat", "dog", "\x1b[31mfish"}) model->add_labels(label);
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"models", "pets@2"});
  EXPECT_THAT(outcome.out, HasSubstr("validation  68.9% accuracy, loss 0.9021\n"));
  EXPECT_THAT(outcome.out,
              HasSubstr("224 px, bicubic at crop_pct 0.9, mean 0.5 0.5 0.5, std 0.25 0.25 0.25\n"));
  EXPECT_THAT(outcome.out, HasSubstr("3: cat, dog, "));
  EXPECT_THAT(outcome.out, HasSubstr("precision   float32\n"));
  EXPECT_EQ(outcome.out.find('\x1b'), std::string::npos);
}

TEST(PublishCommandTest, SaysWhatWasPublishedAndHowToUseIt) {
  FakeAnswers answers;
  answers.publish_run = [](const v1::PublishRunRequest& request, v1::PublishRunResponse* response) {
    EXPECT_EQ(request.run(), "7f3a");
    EXPECT_EQ(request.name(), "pets");
    EXPECT_EQ(request.precision(), v1::PRECISION_CHOICE_AUTO);
    *response->mutable_model() = Pets(3);
    response->mutable_model()->set_precision(v1::PRECISION_BFLOAT16);
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"publish", "7f3a", "--as", "pets", "--precision", "auto"});
  EXPECT_EQ(outcome.exit_code, kExitOk);
  EXPECT_THAT(
      outcome.out,
      HasSubstr("published run:7f3a2c@1200 as pets@3: 21.7 M parameters, 3 classes, bfloat16, "));
  EXPECT_THAT(outcome.out, HasSubstr("classify --model pets FILE"));
}

TEST(ImportCommandTest, SendsThePathLabelsAndFieldsAndShowsTheNotes) {
  const std::string labels = ::testing::TempDir() + "/import_labels.txt";
  std::ofstream(labels) << "cat\r\ndog\n";
  FakeAnswers answers;
  answers.import_model = [](const v1::ImportModelRequest& request,
                            v1::ImportModelResponse* response) {
    EXPECT_EQ(request.path(), "/weights/small.pth");
    EXPECT_EQ(request.name(), "pets");
    EXPECT_EQ(request.model().num_heads(), 6);
    EXPECT_EQ(request.preprocessing().eval().crop_pct(), 0.95);
    EXPECT_EQ(request.precision(), v1::PRECISION_CHOICE_UNSPECIFIED);
    EXPECT_THAT(request.labels(), ElementsAre("cat", "dog"));
    *response->mutable_model() = Pets(1);
    response->add_notes("not used: pooler.dense.weight");
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const Outcome outcome =
      Vitctl(vitd, {"import", "/weights/small.pth", "--name", "pets", "--labels", labels, "--set",
                    "model.num_heads=6", "--set", "data.eval.crop_pct=0.95"});
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("  not used: pooler.dense.weight\n"));
}

TEST(ImportCommandTest, SaysWhichWeightsOfTheFileAreMeant) {
  FakeAnswers answers;
  answers.import_model = [](const v1::ImportModelRequest& request,
                            v1::ImportModelResponse* response) {
    EXPECT_EQ(request.prefix(), "teacher.");
    EXPECT_EQ(request.weights(), v1::WEIGHTS_CHOICE_RAW);
    EXPECT_EQ(request.precision(), v1::PRECISION_CHOICE_BFLOAT16);
    *response->mutable_model() = Pets(1);
    response->mutable_model()->mutable_model()->set_num_classes(0);
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"import", "/w.pth", "--name", "pets", "--prefix",
                                        "teacher.", "--weights", "raw", "--precision", "bfloat16"});
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("no head"));
  EXPECT_EQ(Vitctl(vitd, {"import", "/w.pth", "--name", "pets", "--weights", "some"}).exit_code,
            kExitUsage);
}

TEST(ImportCommandTest, FieldsThatMeanNothingToAnImportAreRefused) {
  FakeVitd vitd(FakeAnswers{});
  const Outcome outcome = Vitctl(vitd, {"import", "/w.pth", "--name", "pets", "--set", "epochs=3"});
  EXPECT_EQ(outcome.exit_code, kExitUsage);
  EXPECT_THAT(outcome.err, HasSubstr("only fields of model and data"));
}

TEST(RmCommandTest, RemovesModelsByTheirPrefix) {
  FakeAnswers answers;
  answers.remove_model = [](const v1::RemoveModelRequest& request,
                            v1::RemoveModelResponse* response) {
    EXPECT_EQ(request.model(), "pets");
    response->set_versions(3);
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"rm", "model:pets"});
  EXPECT_EQ(outcome.exit_code, kExitOk);
  EXPECT_EQ(outcome.out, "removed 3 versions of model pets\n");
}

TEST(LoadCommandTest, LoadsAndUnloads) {
  FakeAnswers answers;
  answers.load_model = [](const v1::LoadModelRequest& request, v1::LoadModelResponse*) {
    return request.model() == "pets" ? grpc::Status::OK
                                     : grpc::Status(grpc::StatusCode::NOT_FOUND, "no model");
  };
  answers.unload_model = [](const v1::UnloadModelRequest&, v1::UnloadModelResponse*) {
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "pets is not in memory");
  };
  FakeVitd vitd(answers);
  EXPECT_EQ(Vitctl(vitd, {"load", "pets"}).out, "loaded pets\n");
  EXPECT_EQ(Vitctl(vitd, {"load", "cats"}).exit_code, kExitNotFound);
  EXPECT_EQ(Vitctl(vitd, {"unload", "pets"}).exit_code, kExitPrecondition);
}

}  // namespace
}  // namespace vit
