// A daemon with a small model, and requests to it in the Open Inference Protocol.
#ifndef VIT_TESTS_SERVER_OPEN_INFERENCE_TESTING_H_
#define VIT_TESTS_SERVER_OPEN_INFERENCE_TESTING_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "inference/grpc_predict_v2.grpc.pb.h"
#include "server/daemon.h"
#include "tests/core/data/testing.h"
#include "tests/server/loopback_config.h"
#include "tests/server/testing.h"

namespace vit {

inline constexpr int kSide = 16;  // of TinySpec's images
inline constexpr int kImageValues = 3 * kSide * kSide;

// A request for the model "shapes" with encoded images, as typed contents.
inference::ModelInferRequest FilesRequest(const std::vector<std::string>& files);
// The same as raw contents.
inference::ModelInferRequest RawFilesRequest(const std::vector<std::string>& files);
// A request with a tensor of `count` images as raw contents.
inference::ModelInferRequest TensorRequest(const std::string& datatype, int count,
                                           const std::string& raw);

// The elements of a response's output.
std::vector<float> Floats(const inference::ModelInferResponse& response, const std::string& output);
std::vector<std::string> Texts(const inference::ModelInferResponse& response,
                               const std::string& output);

// One daemon for all tests of a suite, with a run that has ended and is published as "shapes".
class OpenInferenceTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();

  static Client& client() { return *shared_->client; }
  static inference::GRPCInferenceService::Stub& stub() { return *shared_->stub; }
  static const std::string& run() { return shared_->run; }
  static Daemon& daemon() { return *shared_->daemon; }

  static grpc::Status Infer(const inference::ModelInferRequest& request,
                            inference::ModelInferResponse* response);
  // Expects an answer.
  static inference::ModelInferResponse Answer(const inference::ModelInferRequest& request);
  // Expects a refusal and returns its message.
  static std::string Refusal(const inference::ModelInferRequest& request,
                             grpc::StatusCode code = grpc::StatusCode::INVALID_ARGUMENT);

 private:
  struct Shared {
    TemporaryFolder folder;
    Logger logger{LogFormat::kText, LogLevel::kError};
    std::unique_ptr<Daemon> daemon;
    std::unique_ptr<Client> client;
    std::unique_ptr<inference::GRPCInferenceService::Stub> stub;
    std::string run;
  };
  static Shared* shared_;
};

}  // namespace vit

#endif  // VIT_TESTS_SERVER_OPEN_INFERENCE_TESTING_H_
