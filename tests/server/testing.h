// What the tests of the daemon share, in process or not: a run that takes a second, clients, HTTP.
#ifndef VIT_TESTS_SERVER_TESTING_H_
#define VIT_TESTS_SERVER_TESTING_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "vit/v1/inference.grpc.pb.h"
#include "vit/v1/repository.grpc.pb.h"
#include "vit/v1/training.grpc.pb.h"

namespace vit {

// A context whose call ends within two minutes, come what may.
std::unique_ptr<grpc::ClientContext> NewContext();

// To 127.0.0.1:`port`, with messages of any size.
std::shared_ptr<grpc::Channel> Connect(int port);

// Generated images of 16x16, a model of 16x1: a step takes a millisecond. One compute thread,
// evaluation every 8 steps.
vit::v1::TrainingSpec TinySpec(int64_t max_steps);

// Both daemons' services, for tests: an error fails the test and leaves the answer empty.
class Client {
 public:
  explicit Client(int port);

  vit::v1::Run Start(const vit::v1::TrainingSpec& spec, const std::string& name = "");
  vit::v1::StatusResponse Status(const std::string& run = "");
  // Follows the run to its end.
  vit::v1::Run AwaitEnd(const std::string& run = "");
  // Follows the run until it has done `step` steps or has ended.
  vit::v1::Run AwaitStep(const std::string& run, int64_t step);
  std::vector<vit::v1::MetricPoint> History(const std::string& run);
  grpc::Status Classify(const std::vector<std::string>& images, const std::string& model,
                        vit::v1::ClassifyResponse* response);

  vit::v1::TrainingService::Stub& training() { return *training_; }
  vit::v1::InferenceService::Stub& inference() { return *inference_; }
  vit::v1::ModelService::Stub& models() { return *models_; }

 private:
  std::unique_ptr<vit::v1::TrainingService::Stub> training_;
  std::unique_ptr<vit::v1::InferenceService::Stub> inference_;
  std::unique_ptr<vit::v1::ModelService::Stub> models_;
};

// The body of http://127.0.0.1:`port``path`; empty if nothing answers.
std::string HttpGet(int port, const std::string& path);

// The value of `series`, such as vitd_training_epoch{run="a"}, in the text format.
std::optional<double> MetricValue(absl::string_view text, absl::string_view series);

}  // namespace vit

#endif  // VIT_TESTS_SERVER_TESTING_H_
