// Requests for inference that went wrong on the way, in both protocols: whatever arrives is
// answered with a status, and the daemon serves on. VIT_MUTATIONS sets how many are sent.
#include <google/protobuf/message.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/server/open_inference_testing.h"

namespace vit {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kMutations = 10'000;  // of each protocol

int Mutations() {
  int count = kMutations;
  const char* wanted = std::getenv("VIT_MUTATIONS");
  return wanted != nullptr && absl::SimpleAtoi(wanted, &count) ? count : kMutations;
}

// Changes messages. The same seed makes the same changes.
class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  size_t Below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  // Changes one field of `message` or of a message in it.
  void Mutate(Message* message) {
    const auto* descriptor = message->GetDescriptor();
    const Reflection* reflection = message->GetReflection();
    if (descriptor->field_count() == 0) return;
    const FieldDescriptor* field =
        descriptor->field(static_cast<int>(Below(descriptor->field_count())));
    const bool repeated = field->is_repeated();
    const int size = repeated ? reflection->FieldSize(*message, field) : 0;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && Below(4) != 0) {
      if (!repeated) return Mutate(reflection->MutableMessage(message, field));
      if (size > 0) {
        return Mutate(
            reflection->MutableRepeatedMessage(message, field, static_cast<int>(Below(size))));
      }
    }
    if (Below(5) == 0) return reflection->ClearField(message, field);
    if (!repeated) return Set(message, field, -1);
    switch (size == 0 ? 0 : Below(4)) {
      case 0:
        return Add(message, field);
      case 1:
        return reflection->RemoveLast(message, field);
      case 2:
        return reflection->SwapElements(message, field, static_cast<int>(Below(size)),
                                        static_cast<int>(Below(size)));
      default:
        return Set(message, field, static_cast<int>(Below(size)));
    }
  }

  // Changes bytes of an encoded message.
  void MutateBytes(std::string* bytes) {
    for (size_t count = 1 + Below(4); count > 0 && !bytes->empty(); --count) {
      const size_t at = Below(bytes->size());
      switch (Below(4)) {
        case 0:
          (*bytes)[at] = static_cast<char>(random_());
          break;
        case 1:
          (*bytes)[at] = static_cast<char>((*bytes)[at] ^ (1 << Below(8)));
          break;
        case 2:
          bytes->erase(at, 1 + Below(16));
          break;
        default:
          bytes->insert(at, bytes->substr(Below(bytes->size()), Below(64)));
      }
    }
  }

 private:
  int64_t Number() {
    constexpr int64_t kEdges[] = {0,
                                  1,
                                  -1,
                                  2,
                                  3,
                                  4,
                                  16,
                                  255,
                                  256,
                                  257,
                                  768,
                                  1 << 16,
                                  INT32_MAX,
                                  INT32_MIN,
                                  int64_t{1} << 32,
                                  int64_t{1} << 62,
                                  INT64_MAX,
                                  INT64_MIN};
    return Below(4) == 0 ? static_cast<int64_t>(random_()) : kEdges[Below(std::size(kEdges))];
  }

  std::string Text(const std::string& old) {
    static const char* const kWords[] = {"",
                                         "IMAGE",
                                         "INPUT",
                                         "SCORES",
                                         "LABELS",
                                         "EMBEDDING",
                                         "BYTES",
                                         "UINT8",
                                         "FP16",
                                         "FP32",
                                         "INT64",
                                         "shapes",
                                         "latest",
                                         "run:first",
                                         "shapes@1",
                                         "1",
                                         "0",
                                         "-1",
                                         "x@y@z",
                                         "run:",
                                         "priority",
                                         "timeout",
                                         "\xc3\xa9",
                                         "sequence_id",
                                         "model:",
                                         "classification",
                                         "shared_memory_region",
                                         "99999999999999999999"};
    if (Below(3) != 0) return kWords[Below(std::size(kWords))];
    std::string text = old.substr(0, Below(old.size() + 1));
    return text + std::string(Below(300), static_cast<char>('a' + Below(26)));
  }

  std::string Bytes(std::string old) {
    switch (Below(4)) {
      case 0:
        return std::string(Below(5000), static_cast<char>(random_()));
      case 1:
        old.resize(Below(2 * old.size() + 1));
        return old;
      default:
        MutateBytes(&old);
        return old;
    }
  }

  // `index`: of a repeated field's element, else -1.
  void Set(Message* message, const FieldDescriptor* field, int index) {
    const Reflection* r = message->GetReflection();
    const int64_t number = Number();
    const bool one = index < 0;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32: {
        const auto value = static_cast<int32_t>(number);
        return one ? r->SetInt32(message, field, value)
                   : r->SetRepeatedInt32(message, field, index, value);
      }
      case FieldDescriptor::CPPTYPE_INT64:
        return one ? r->SetInt64(message, field, number)
                   : r->SetRepeatedInt64(message, field, index, number);
      case FieldDescriptor::CPPTYPE_UINT32: {
        const auto value = static_cast<uint32_t>(number);
        return one ? r->SetUInt32(message, field, value)
                   : r->SetRepeatedUInt32(message, field, index, value);
      }
      case FieldDescriptor::CPPTYPE_UINT64: {
        const auto value = static_cast<uint64_t>(number);
        return one ? r->SetUInt64(message, field, value)
                   : r->SetRepeatedUInt64(message, field, index, value);
      }
      case FieldDescriptor::CPPTYPE_DOUBLE: {
        const double value = Double();
        return one ? r->SetDouble(message, field, value)
                   : r->SetRepeatedDouble(message, field, index, value);
      }
      case FieldDescriptor::CPPTYPE_FLOAT: {
        const auto value = static_cast<float>(Double());
        return one ? r->SetFloat(message, field, value)
                   : r->SetRepeatedFloat(message, field, index, value);
      }
      case FieldDescriptor::CPPTYPE_BOOL: {
        const bool value = Below(2) == 0;
        return one ? r->SetBool(message, field, value)
                   : r->SetRepeatedBool(message, field, index, value);
      }
      case FieldDescriptor::CPPTYPE_ENUM: {
        const auto value = static_cast<int>(Below(6));
        return one ? r->SetEnumValue(message, field, value)
                   : r->SetRepeatedEnumValue(message, field, index, value);
      }
      case FieldDescriptor::CPPTYPE_STRING: {
        const std::string old =
            one ? r->GetString(*message, field) : r->GetRepeatedString(*message, field, index);
        const std::string value =
            field->type() == FieldDescriptor::TYPE_BYTES ? Bytes(old) : Text(old);
        return one ? r->SetString(message, field, value)
                   : r->SetRepeatedString(message, field, index, value);
      }
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Mutate(one ? r->MutableMessage(message, field)
                          : r->MutableRepeatedMessage(message, field, index));
    }
  }

  double Double() {
    constexpr double kEdges[] = {0,
                                 -1,
                                 1e30,
                                 -1e300,
                                 std::numeric_limits<double>::infinity(),
                                 std::numeric_limits<double>::quiet_NaN()};
    return kEdges[Below(std::size(kEdges))];
  }

  // Adds an element, often a copy of one that is there.
  void Add(Message* message, const FieldDescriptor* field) {
    const Reflection* r = message->GetReflection();
    const int size = r->FieldSize(*message, field);
    const auto from = static_cast<int>(Below(size));
    const bool copies = size > 0 && Below(3) != 0;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE: {
        if (!copies || field->is_map()) return Mutate(r->AddMessage(message, field));
        const std::unique_ptr<Message> copy(r->GetRepeatedMessage(*message, field, from).New());
        copy->CopyFrom(r->GetRepeatedMessage(*message, field, from));
        return r->AddMessage(message, field)->CopyFrom(*copy);
      }
      case FieldDescriptor::CPPTYPE_STRING: {
        const std::string copy = copies ? r->GetRepeatedString(*message, field, from) : "";
        r->AddString(message, field, copy);
        return copies ? void() : Set(message, field, size);
      }
      case FieldDescriptor::CPPTYPE_INT32:
        return r->AddInt32(message, field, static_cast<int32_t>(Number()));
      case FieldDescriptor::CPPTYPE_INT64:
        return r->AddInt64(message, field, Number());
      case FieldDescriptor::CPPTYPE_UINT32:
        return r->AddUInt32(message, field, static_cast<uint32_t>(Number()));
      case FieldDescriptor::CPPTYPE_UINT64:
        return r->AddUInt64(message, field, static_cast<uint64_t>(Number()));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return r->AddFloat(message, field, static_cast<float>(Double()));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return r->AddDouble(message, field, Double());
      case FieldDescriptor::CPPTYPE_BOOL:
        return r->AddBool(message, field, true);
      case FieldDescriptor::CPPTYPE_ENUM:
        return r->AddEnumValue(message, field, static_cast<int>(Below(6)));
    }
  }

  std::mt19937_64 random_;
};

class MutatedRequestsTest : public OpenInferenceTest {
 protected:
  MutatedRequestsTest() : generic_(Connect(daemon().grpc_port())) {}

  // Sends the bytes of a request, well formed or not.
  grpc::Status Send(const std::string& method, const std::string& bytes) {
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    const auto context = NewContext();
    grpc::ByteBuffer response;
    grpc::CompletionQueue queue;
    const auto call = generic_.PrepareUnaryCall(context.get(), method, request, &queue);
    call->StartCall();
    grpc::Status status;
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return status;
  }

  // Sends mutations of the `valid` requests; each has to be answered, and the valid ones still.
  void Run(const std::string& method, const std::vector<const Message*>& valid, uint64_t seed) {
    Mutator mutator(seed);
    std::map<int, int> codes;
    const int count = Mutations();
    for (int i = 0; i < count; ++i) {
      const Message* original = valid[mutator.Below(valid.size())];
      const std::unique_ptr<Message> message(original->New());
      message->CopyFrom(*original);
      const bool by_field = mutator.Below(4) != 0;
      for (size_t k = 0; by_field && k <= mutator.Below(3); ++k) mutator.Mutate(message.get());
      std::string bytes = message->SerializeAsString();
      if (!by_field) mutator.MutateBytes(&bytes);
      const grpc::Status status = Send(method, bytes);
      ++codes[status.error_code()];
      switch (status.error_code()) {
        case grpc::StatusCode::OK:
        case grpc::StatusCode::INVALID_ARGUMENT:
        case grpc::StatusCode::NOT_FOUND:
        case grpc::StatusCode::DEADLINE_EXCEEDED:   // by the parameter `timeout`
        case grpc::StatusCode::RESOURCE_EXHAUSTED:  // an image of too many pixels
          break;
        default:
          ADD_FAILURE() << "mutation " << i << " of " << method << ": " << status.error_code()
                        << " " << status.error_message() << "\n"
                        << message->ShortDebugString().substr(0, 2000);
      }
      if (!status.ok()) {
        EXPECT_FALSE(status.error_message().empty()) << "mutation " << i;
      }
      if (i % 500 != 0 && i != count - 1) continue;
      for (const Message* request : valid) {
        const grpc::Status answer = Send(method, request->SerializeAsString());
        ASSERT_TRUE(answer.ok()) << "after mutation " << i << ": " << answer.error_message();
      }
    }
    std::cout << method << ": " << count << " mutations, by status code: "
              << absl::StrJoin(codes, ", ", absl::PairFormatter(": ")) << std::endl;
    EXPECT_GT(codes[grpc::StatusCode::OK], 0);
    EXPECT_GT(codes[grpc::StatusCode::INVALID_ARGUMENT], count / 10);
  }

 private:
  grpc::GenericStub generic_;
};

std::string File(int seed, const std::string& extension) {
  return Encode(SmoothImage(20, 24, seed), extension);
}

TEST_F(MutatedRequestsTest, ModelInferAnswersEach) {
  const std::vector<std::string> files = {File(0, ".png"), File(1, ".jpg"), File(2, ".webp")};
  inference::ModelInferRequest typed = FilesRequest(files);
  inference::ModelInferRequest raw = RawFilesRequest(files);
  raw.add_outputs()->set_name("EMBEDDING");
  raw.add_outputs()->set_name("SCORES");
  (*raw.mutable_outputs(1)->mutable_parameters())["classification"].set_int64_param(2);
  (*raw.mutable_parameters())["priority"].set_uint64_param(2);
  (*raw.mutable_parameters())["timeout"].set_int64_param(60'000'000);
  raw.set_model_version("1");
  raw.set_id("id");
  const inference::ModelInferRequest pixels =
      TensorRequest("UINT8", 2, std::string(2 * kImageValues, 'p'));
  const inference::ModelInferRequest halves =
      TensorRequest("FP16", 1, std::string(2 * kImageValues, '\x30'));
  inference::ModelInferRequest floats = TensorRequest("FP32", 1, "");
  floats.clear_raw_input_contents();
  for (int i = 0; i < kImageValues; ++i) {
    floats.mutable_inputs(0)->mutable_contents()->add_fp32_contents(0.01f * static_cast<float>(i));
  }
  Run("/inference.GRPCInferenceService/ModelInfer", {&typed, &raw, &pixels, &halves, &floats}, 1);
}

TEST_F(MutatedRequestsTest, ClassifyAnswersEach) {
  vit::v1::ClassifyRequest request;
  for (const char* extension : {".png", ".jpg", ".webp", ".bmp"}) {
    request.add_images(File(0, extension));
  }
  request.set_model("shapes");
  request.set_top_k(3);
  request.set_priority(vit::v1::PRIORITY_HIGH);
  vit::v1::ClassifyRequest plain;
  plain.add_images(File(3, ".png"));
  Run("/vit.v1.InferenceService/Classify", {&request, &plain}, 2);
}

}  // namespace
}  // namespace vit
