#include "tests/server/testing.h"

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace vit {

std::unique_ptr<grpc::ClientContext> NewContext() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(120));
  return context;
}

std::shared_ptr<grpc::Channel> Connect(int port) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  // Its own channel, not one that an earlier daemon on the same port had.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port),
                                   grpc::InsecureChannelCredentials(), arguments);
}

vit::v1::TrainingSpec TinySpec(int64_t max_steps) {
  vit::v1::TrainingSpec spec;
  vit::v1::ModelConfig* model = spec.mutable_model();
  model->set_image_size(16);
  model->set_patch_size(8);
  model->set_embed_dim(16);
  model->set_depth(1);
  model->set_num_heads(2);
  spec.mutable_data()->set_source("shapes:");
  spec.mutable_data()->set_loader_threads(1);
  spec.mutable_data()->mutable_train()->set_crop(vit::v1::TRAIN_CROP_RANDOM);
  spec.mutable_data()->mutable_shapes()->set_train_size(64);
  spec.mutable_data()->mutable_shapes()->set_val_size(20);
  spec.set_batch_size(16);
  spec.set_max_steps(max_steps);
  spec.set_precision(vit::v1::PRECISION_FLOAT32);
  spec.set_seed(7);
  spec.set_compute_threads(1);
  spec.set_log_every_steps(2);
  spec.mutable_evaluation()->set_every_steps(8);
  return spec;
}

Client::Client(int port) {
  const auto channel = Connect(port);
  training_ = vit::v1::TrainingService::NewStub(channel);
  inference_ = vit::v1::InferenceService::NewStub(channel);
  models_ = vit::v1::ModelService::NewStub(channel);
}

vit::v1::Run Client::Start(const vit::v1::TrainingSpec& spec, const std::string& name) {
  vit::v1::StartTrainingRequest request;
  *request.mutable_spec() = spec;
  request.set_name(name);
  vit::v1::StartTrainingResponse response;
  const grpc::Status status = training_->StartTraining(NewContext().get(), request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.run();
}

vit::v1::StatusResponse Client::Status(const std::string& run) {
  vit::v1::StatusRequest request;
  request.set_run(run);
  vit::v1::StatusResponse response;
  const grpc::Status status = training_->Status(NewContext().get(), request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

vit::v1::Run Client::AwaitEnd(const std::string& run) {
  vit::v1::WatchRequest request;
  request.set_run(run);
  vit::v1::WatchResponse message;
  const auto context = NewContext();
  const auto stream = training_->Watch(context.get(), request);
  vit::v1::Run last;
  while (stream->Read(&message)) last = message.run();
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message() << last.ShortDebugString();
  return last;
}

vit::v1::Run Client::AwaitStep(const std::string& run, int64_t step) {
  vit::v1::WatchRequest request;
  request.set_run(run);
  vit::v1::WatchResponse message;
  const auto context = NewContext();
  const auto stream = training_->Watch(context.get(), request);
  while (stream->Read(&message) && message.run().step() < step) {
  }
  context->TryCancel();
  EXPECT_GE(message.run().step(), step) << message.run().ShortDebugString();
  return message.run();
}

std::vector<vit::v1::MetricPoint> Client::History(const std::string& run) {
  vit::v1::GetHistoryRequest request;
  request.set_run(run);
  vit::v1::GetHistoryResponse response;
  const grpc::Status status = training_->GetHistory(NewContext().get(), request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return {response.points().begin(), response.points().end()};
}

grpc::Status Client::Classify(const std::vector<std::string>& images, const std::string& model,
                              vit::v1::ClassifyResponse* response) {
  vit::v1::ClassifyRequest request;
  for (const std::string& image : images) request.add_images(image);
  request.set_model(model);
  return inference_->Classify(NewContext().get(), request, response);
}

std::string HttpGet(int port, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    const std::string request = absl::StrCat("GET ", path, " HTTP/1.0\r\n\r\n");
    if (write(fd, request.data(), request.size()) == static_cast<ssize_t>(request.size())) {
      char buffer[4096];
      for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) answer.append(buffer, n);
    }
  }
  close(fd);
  const size_t body = answer.find("\r\n\r\n");
  return body == std::string::npos ? "" : answer.substr(body + 4);
}

std::optional<double> MetricValue(absl::string_view text, absl::string_view series) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    double value = 0;
    if (line.size() > series.size() && line.substr(0, series.size()) == series &&
        line[series.size()] == ' ' && absl::SimpleAtod(line.substr(series.size() + 1), &value)) {
      return value;
    }
  }
  return std::nullopt;
}

}  // namespace vit
