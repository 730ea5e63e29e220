#include "tests/server/open_inference_testing.h"

#include <cstring>

#include "absl/time/clock.h"

namespace vit {
namespace {

void AppendElement(const std::string& element, std::string* raw) {
  const auto length = static_cast<uint32_t>(element.size());
  raw->append(reinterpret_cast<const char*>(&length), sizeof(length));
  *raw += element;
}

const std::string& RawOutput(const inference::ModelInferResponse& response,
                             const std::string& output) {
  static const std::string none;
  for (int i = 0; i < response.outputs_size(); ++i) {
    if (response.outputs(i).name() == output) return response.raw_output_contents(i);
  }
  ADD_FAILURE() << "no output " << output << " in " << response.ShortDebugString();
  return none;
}

}  // namespace

inference::ModelInferRequest FilesRequest(const std::vector<std::string>& files) {
  inference::ModelInferRequest request;
  request.set_model_name("shapes");
  auto* input = request.add_inputs();
  input->set_name("IMAGE");
  input->set_datatype("BYTES");
  input->add_shape(static_cast<int64_t>(files.size()));
  for (const std::string& file : files) input->mutable_contents()->add_bytes_contents(file);
  return request;
}

inference::ModelInferRequest RawFilesRequest(const std::vector<std::string>& files) {
  inference::ModelInferRequest request = FilesRequest(files);
  request.mutable_inputs(0)->clear_contents();
  std::string* raw = request.add_raw_input_contents();
  for (const std::string& file : files) AppendElement(file, raw);
  return request;
}

inference::ModelInferRequest TensorRequest(const std::string& datatype, int count,
                                           const std::string& raw) {
  inference::ModelInferRequest request;
  request.set_model_name("shapes");
  auto* input = request.add_inputs();
  input->set_name("INPUT");
  input->set_datatype(datatype);
  for (const int dim : {count, 3, kSide, kSide}) input->add_shape(dim);
  request.add_raw_input_contents(raw);
  return request;
}

std::vector<float> Floats(const inference::ModelInferResponse& response,
                          const std::string& output) {
  const std::string& raw = RawOutput(response, output);
  std::vector<float> values(raw.size() / sizeof(float));
  memcpy(values.data(), raw.data(), values.size() * sizeof(float));
  return values;
}

std::vector<std::string> Texts(const inference::ModelInferResponse& response,
                               const std::string& output) {
  std::vector<std::string> texts;
  const std::string& raw = RawOutput(response, output);
  for (size_t at = 0; at + sizeof(uint32_t) <= raw.size();) {
    uint32_t length;
    memcpy(&length, raw.data() + at, sizeof(length));
    at += sizeof(length);
    texts.push_back(raw.substr(at, length));
    at += length;
  }
  return texts;
}

OpenInferenceTest::Shared* OpenInferenceTest::shared_ = nullptr;

void OpenInferenceTest::SetUpTestSuite() {
  shared_ = new Shared;
  auto daemon = Daemon::Create(LoopbackConfig(shared_->folder.path()), &shared_->logger);
  ASSERT_TRUE(daemon.ok()) << daemon.status();
  shared_->daemon = *std::move(daemon);
  const int port = shared_->daemon->grpc_port();
  shared_->client = std::make_unique<Client>(port);
  shared_->stub = inference::GRPCInferenceService::NewStub(Connect(port));
  shared_->run = client().Start(TinySpec(16), "first").id();
  client().AwaitEnd(run());
  vit::v1::PublishRunRequest publish;
  publish.set_run(run());
  publish.set_name("shapes");
  vit::v1::PublishRunResponse published;
  const grpc::Status status = client().models().PublishRun(NewContext().get(), publish, &published);
  ASSERT_TRUE(status.ok()) << status.error_message();
}

void OpenInferenceTest::TearDownTestSuite() {
  daemon().Shutdown(absl::Now() + absl::Seconds(60));
  delete shared_;
  shared_ = nullptr;
}

grpc::Status OpenInferenceTest::Infer(const inference::ModelInferRequest& request,
                                      inference::ModelInferResponse* response) {
  return stub().ModelInfer(NewContext().get(), request, response);
}

inference::ModelInferResponse OpenInferenceTest::Answer(
    const inference::ModelInferRequest& request) {
  inference::ModelInferResponse response;
  const grpc::Status status = Infer(request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

std::string OpenInferenceTest::Refusal(const inference::ModelInferRequest& request,
                                       grpc::StatusCode code) {
  inference::ModelInferResponse response;
  const grpc::Status status = Infer(request, &response);
  EXPECT_EQ(status.error_code(), code) << status.error_message();
  return status.error_message();
}

}  // namespace vit
