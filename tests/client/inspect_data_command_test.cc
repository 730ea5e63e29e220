#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/fake_vitd.h"

namespace vit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class InspectDataCommandTest : public ::testing::Test {
 protected:
  InspectDataCommandTest() {
    answers_.inspect_data = [this](const v1::InspectDataRequest& request, auto* messages) {
      request_ = request;
      messages->resize(2);
      messages->at(0).set_samples(256);
      *messages->at(1).mutable_report() = report_;
      return grpc::Status::OK;
    };
    for (const char* name : {"cat", "a dog with a name that is far too long for anything"}) {
      v1::ClassReport* of_class = report_.add_classes();
      of_class->set_name(name);
      of_class->set_train(1234);
      of_class->set_validation(100);
    }
    report_.set_train_samples(2468);
    report_.set_validation_samples(200);
    SetSize(report_.mutable_smallest(), 20, 10);
    SetSize(report_.mutable_median(), 500, 375);
    SetSize(report_.mutable_largest(), 4000, 3000);
    for (const double value : {0.485, 0.456, 0.406}) report_.add_mean(value);
    for (const double value : {0.229, 0.224, 0.225}) report_.add_std(value);
  }
  static void SetSize(v1::PictureSize* size, int width, int height) {
    size->set_width(width);
    size->set_height(height);
  }
  Outcome Run(std::vector<std::string> args = {}, Terminal terminal = Pipe()) {
    FakeVitd vitd(answers_);
    args.insert(args.begin(), {"inspect-data", "folder:/data/pets"});
    return Vitctl(vitd, args, terminal);
  }

  FakeAnswers answers_;
  v1::InspectDataRequest request_;
  v1::DataReport report_;
};

TEST_F(InspectDataCommandTest, ShowsWhatIsThere) {
  const Outcome outcome = Run({"--set", "data.folds=5"});
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_EQ(request_.data().source(), "folder:/data/pets");
  EXPECT_EQ(request_.data().folds(), 5);
  EXPECT_THAT(outcome.out, HasSubstr("2,468 training, 200 validation\n"));
  EXPECT_THAT(outcome.out, HasSubstr("20x10 to 4000x3000, median 500x375\n"));
  EXPECT_THAT(outcome.out, HasSubstr("0.4850 0.4560 0.4060\n"));
  EXPECT_THAT(outcome.out, HasSubstr("0.2290 0.2240 0.2250\n"));
  EXPECT_THAT(outcome.out, HasSubstr("none\n"));
  EXPECT_THAT(outcome.out, HasSubstr("1,234"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("unreadable:")));
}

TEST_F(InspectDataCommandTest, NamesWhatIsWrongWithin80Columns) {
  report_.set_unreadable_count(120);
  v1::UnreadablePicture* image = report_.add_unreadable();
  image->set_name("/data/pets/" + std::string(90, 'x') + "/\x1B[2J.jpg");
  image->set_reason("the file is truncated");
  report_.set_leaked(1);
  v1::DuplicateGroup* group = report_.add_groups();
  group->set_exact(true);
  group->set_across_splits(true);
  group->set_size(12);
  group->add_names("/data/pets/train/cat/1.jpg");
  group->add_names("/data/pets/val/cat/1.jpg");
  const Outcome outcome = Run({}, Tty(80));
  EXPECT_THAT(outcome.out, HasSubstr("1 validation images are also in training"));
  EXPECT_THAT(outcome.out, HasSubstr("(the file is truncated)\n  and 119 more\n"));
  EXPECT_THAT(outcome.out, HasSubstr("identical, in both splits:\n  /data/pets/train/cat/1.jpg\n"));
  EXPECT_THAT(outcome.out, HasSubstr("  and 10 more\n"));
  EXPECT_EQ(outcome.out.find('\x1B'), std::string::npos);
  EXPECT_LE(WidestLine(outcome.out), 80);
}

TEST_F(InspectDataCommandTest, SaysWhatIsPassedOverAndWhatIsNotUsed) {
  EXPECT_THAT(Run().out, HasSubstr("passed over     none\n"));
  report_.add_notes("not used: test/ beside train/");
  v1::PassedOverFiles* files = report_.add_passed_over();
  files->set_kind("GIF");
  files->set_count(1200);
  files->set_example("/data/pets/a.gif");
  const Outcome outcome = Run();
  EXPECT_THAT(outcome.out, HasSubstr("passed over     1,200\n"));
  EXPECT_THAT(outcome.out, HasSubstr("notes:\n  not used: test/ beside train/\n"));
  EXPECT_THAT(outcome.out, HasSubstr("passed over:\n  1,200 GIF, such as /data/pets/a.gif\n"));
}

TEST_F(InspectDataCommandTest, JsonIsTheReport) {
  const Outcome outcome = Run({"--output", "json"});
  EXPECT_THAT(outcome.out, HasSubstr("\"train_samples\": \"2468\""));
  EXPECT_THAT(outcome.out, HasSubstr("\"leaked\": \"0\""));
}

TEST_F(InspectDataCommandTest, OnlyTheDatasFieldsCanBeSet) {
  const Outcome outcome = Run({"--set", "epochs=3"});
  EXPECT_EQ(outcome.exit_code, kExitUsage);
  EXPECT_THAT(outcome.err, HasSubstr("inspect-data takes only fields of data"));
}

}  // namespace
}  // namespace vit
