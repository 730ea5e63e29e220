// Requests of the Open Inference Protocol that are wrong, against a whole daemon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>

#include "tests/server/open_inference_testing.h"

namespace vit {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using InferRefusalTest = OpenInferenceTest;

std::string File(int seed = 0) { return Encode(SmoothImage(40, 30, seed), ".png"); }

void AskFor(const std::string& output, inference::ModelInferRequest* request) {
  request->add_outputs()->set_name(output);
}

std::string Raw(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// A request that is wrong, and what its refusal says.
struct Wrong {
  const char* what;
  std::function<void(inference::ModelInferRequest*)> change;
  std::vector<std::string> parts;
};

TEST_F(InferRefusalTest, WrongRequestsAreRefusedWithTheTensorTheReasonAndWhatIsExpected) {
  using Request = inference::ModelInferRequest;
  const auto set_shape = [](std::vector<int64_t> shape) {
    return [shape](Request* r) {
      r->mutable_inputs(0)->mutable_shape()->Assign(shape.begin(), shape.end());
    };
  };
  const auto set_parameter = [](const std::string& name, int64_t value) {
    return [=](Request* r) { (*r->mutable_parameters())[name].set_int64_param(value); };
  };
  const auto ask = [](const std::string& output) { return [=](Request* r) { AskFor(output, r); }; };
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  const std::vector<Wrong> of_files = {
      {"no model", [](Request* r) { r->clear_model_name(); }, {"names no model"}},
      {"version", [](Request* r) { r->set_model_version("new"); }, {"'new'", "a number"}},
      {"version 0", [](Request* r) { r->set_model_version("0"); }, {"version number"}},
      {"two versions",
       [](Request* r) { r->set_model_name("shapes@1"), r->set_model_version("2"); },
       {"shapes@1", "'2'"}},
      {"latest's",
       [](Request* r) { r->set_model_name("latest"), r->set_model_version("2"); },
       {"latest", "run:ID"}},
      {"no input", [](Request* r) { r->clear_inputs(); }, {"0 inputs", "IMAGE", "INPUT"}},
      {"two inputs", [](Request* r) { *r->add_inputs() = r->inputs(0); }, {"2 inputs"}},
      {"another input",
       [](Request* r) { r->mutable_inputs(0)->set_name("image"); },
       {"'image'", "IMAGE (BYTES)", "FP16"}},
      {"datatype",
       [](Request* r) { r->mutable_inputs(0)->set_datatype("INT8"); },
       {"IMAGE", "'INT8'", "expected BYTES"}},
      {"scalar", set_shape({}), {"IMAGE", "shape []", "[-1] or [-1, 1]"}},
      {"no image", set_shape({0}), {"has 0 images", "1 to 256"}},
      {"negative", set_shape({-1}), {"has -1 images"}},
      {"too many", set_shape({257}), {"has 257 images", "1 to 256"}},
      {"huge", set_shape({kHuge}), {"1 to 256"}},
      {"rows", set_shape({1, 2}), {"shape [1, 2]"}},
      {"long shape", set_shape(std::vector<int64_t>(100, 1)), {"1, ...]"}},
      {"more files than contents", set_shape({2}), {"bytes_contents has 1 entries", "needs 2"}},
      {"other contents",
       [](Request* r) { r->mutable_inputs(0)->mutable_contents()->add_int_contents(1); },
       {"belong in bytes_contents", "int_contents"}},
      {"contents twice",
       [](Request* r) { r->add_raw_input_contents("x"); },
       {"both raw_input_contents and contents.bytes_contents"}},
      {"two raw contents",
       [](Request* r) { r->add_raw_input_contents(), r->add_raw_input_contents(); },
       {"2 entries for one input"}},
      {"shared memory",
       [](Request* r) {
         (*r->mutable_inputs(0)->mutable_parameters())["shared_memory_region"].set_string_param(
             "a");
       },
       {"IMAGE", "shared memory", "raw_input_contents"}},
      {"another output", ask("LOGITS"), {"'LOGITS'", "SCORES", "LABELS", "EMBEDDING"}},
      {"output twice",
       [&](Request* r) { AskFor("LABELS", r), AskFor("LABELS", r); },
       {"LABELS", "twice"}},
      {"output in shared memory",
       [](Request* r) {
         AskFor("SCORES", r);
         (*r->mutable_outputs(0)->mutable_parameters())["shared_memory_region"].set_string_param(
             "a");
       },
       {"SCORES", "shared memory"}},
      {"classes of labels",
       [](Request* r) {
         AskFor("LABELS", r);
         (*r->mutable_outputs(0)->mutable_parameters())["classification"].set_int64_param(2);
       },
       {"LABELS", "classification", "SCORES"}},
      {"negative classes",
       [](Request* r) {
         AskFor("SCORES", r);
         (*r->mutable_outputs(0)->mutable_parameters())["classification"].set_int64_param(-2);
       },
       {"classification", "at least 0"}},
      {"sequence", set_parameter("sequence_id", 3), {"sequence_id", "no state"}},
      {"named sequence",
       [](Request* r) { (*r->mutable_parameters())["sequence_id"].set_string_param("a"); },
       {"sequence_id"}},
      {"priority", set_parameter("priority", -1), {"priority", "at least 0"}},
      {"timeout",
       [](Request* r) { (*r->mutable_parameters())["timeout"].set_bool_param(true); },
       {"timeout", "int64_param"}},
      {"no image file",
       [](Request* r) { r->mutable_inputs(0)->mutable_contents()->set_bytes_contents(0, "text"); },
       {"input IMAGE, element 0"}},
  };
  const std::vector<Wrong> of_values = {
      {"datatype",
       [](Request* r) { r->mutable_inputs(0)->set_datatype("FP64"); },
       {"'FP64'", "UINT8", "FP16 or FP32"}},
      {"BYTES", [](Request* r) { r->mutable_inputs(0)->set_datatype("BYTES"); }, {"'BYTES'"}},
      {"another size", set_shape({1, 3, 8, 16}), {"shape [1, 3, 8, 16]", "[-1, 3, 16, 16]"}},
      {"last channel", set_shape({1, 16, 16, 3}), {"[-1, 3, 16, 16]"}},
      {"negative", set_shape({-1, 3, 16, 16}), {"-1 images"}},
      {"overflow", set_shape({int64_t{1} << 62, 3, 16, 16}), {"1 to 256"}},
      {"overflow of sides", set_shape({1, 3, kHuge, kHuge}), {"[-1, 3, 16, 16]"}},
      {"more images than bytes", set_shape({2, 3, 16, 16}), {"3072 bytes", "needs 6144"}},
      {"a byte more",
       [](Request* r) { r->mutable_raw_input_contents(0)->push_back('x'); },
       {"INPUT", "3073 bytes", "needs 3072"}},
      {"no contents",
       [](Request* r) { r->clear_raw_input_contents(); },
       {"fp32_contents has 0 entries", "needs 768"}},
      {"halves without raw contents",
       [](Request* r) {
         r->clear_raw_input_contents();
         r->mutable_inputs(0)->set_datatype("FP16");
       },
       {"FP16", "raw_input_contents"}},
      {"pixels above 255",
       [](Request* r) {
         r->clear_raw_input_contents();
         r->mutable_inputs(0)->set_datatype("UINT8");
         for (int i = 0; i < kImageValues; ++i) {
           r->mutable_inputs(0)->mutable_contents()->add_uint_contents(256);
         }
       },
       {"256", "255"}},
      {"not a number",
       [](Request* r) {
         const float nan = std::numeric_limits<float>::quiet_NaN();
         memcpy(r->mutable_raw_input_contents(0)->data() + 400, &nan, sizeof(nan));
       },
       {"INPUT", "element 0", "not a number"}},
      {"infinite",
       [](Request* r) {
         const float infinity = -std::numeric_limits<float>::infinity();
         memcpy(r->mutable_raw_input_contents(0)->data(), &infinity, sizeof(infinity));
       },
       {"element 0", "infinite"}},
      {"too large",
       [](Request* r) {
         const std::vector<float> values(kImageValues, 3e38f);
         memcpy(r->mutable_raw_input_contents(0)->data(), values.data(), 4 * values.size());
       },
       {"element 0", "too large"}},
  };
  const auto check = [](const Request& valid, const std::vector<Wrong>& cases) {
    for (const Wrong& wrong : cases) {
      Request request = valid;
      wrong.change(&request);
      const std::string message = Refusal(request);
      for (const std::string& part : wrong.parts) {
        EXPECT_THAT(message, HasSubstr(part)) << wrong.what;
      }
    }
    Answer(valid);
  };
  check(FilesRequest({File()}), of_files);
  check(TensorRequest("FP32", 1, Raw(std::vector<float>(kImageValues, 0.5f))), of_values);
}

TEST_F(InferRefusalTest, RawFilesHaveToFillTheirContentsExactly) {
  const auto change_raw = [](const std::function<void(std::string*)>& change) {
    inference::ModelInferRequest request = RawFilesRequest({File(0), File(1)});
    change(request.mutable_raw_input_contents(0));
    return Refusal(request);
  };
  EXPECT_THAT(change_raw([](std::string* raw) { raw->pop_back(); }),
              AllOf(HasSubstr("input IMAGE: element 1"), HasSubstr("by its length")));
  EXPECT_THAT(change_raw([](std::string* raw) { raw->push_back('x'); }),
              AllOf(HasSubstr("1 bytes are left"), HasSubstr("2 elements")));
  EXPECT_THAT(change_raw([](std::string* raw) { raw->resize(3); }),
              AllOf(HasSubstr("end before element 0"), HasSubstr("4 bytes before it")));
  EXPECT_THAT(change_raw([](std::string* raw) { raw->clear(); }), HasSubstr("before element 0"));
  EXPECT_THAT(change_raw([](std::string* raw) { raw->replace(0, 4, "\xff\xff\xff\xff"); }),
              HasSubstr("element 0 has 4294967295 bytes"));
}

TEST_F(InferRefusalTest, OneBadImageFailsTheRequestAndIsNamed) {
  EXPECT_THAT(Refusal(RawFilesRequest({File(0), File(1), "no image", "nor this"})),
              HasSubstr("input IMAGE, element 2: "));
}

}  // namespace
}  // namespace vit
