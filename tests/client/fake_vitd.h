// A vitd made of answers that a test sets, on a real gRPC server on loopback; and vitctl run
// against it.
#ifndef VIT_TESTS_CLIENT_FAKE_VITD_H_
#define VIT_TESTS_CLIENT_FAKE_VITD_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "client/vitctl/session.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "vit/v1/datasets.grpc.pb.h"
#include "vit/v1/inference.grpc.pb.h"
#include "vit/v1/repository.grpc.pb.h"
#include "vit/v1/training.grpc.pb.h"

namespace vit {

// Each function answers one RPC; an RPC without one is UNIMPLEMENTED. Set them before the call;
// they run on gRPC's threads.
struct FakeAnswers {
  template <typename Request, typename Response>
  using Unary = std::function<grpc::Status(const Request&, Response*)>;

  Unary<v1::StartTrainingRequest, v1::StartTrainingResponse> start_training;
  Unary<v1::StatusRequest, v1::StatusResponse> status;
  // Writes until it returns; a write is false once the client is gone.
  std::function<grpc::Status(const v1::WatchRequest&, grpc::ServerContext*,
                             const std::function<bool(const v1::WatchResponse&)>&)>
      watch;
  Unary<v1::ListRunsRequest, v1::ListRunsResponse> list_runs;
  Unary<v1::StopRunRequest, v1::StopRunResponse> stop_run;
  Unary<v1::ResumeRunRequest, v1::ResumeRunResponse> resume_run;
  Unary<v1::DeleteRunRequest, v1::DeleteRunResponse> delete_run;
  Unary<v1::GetHistoryRequest, v1::GetHistoryResponse> get_history;
  Unary<v1::PreviewDataRequest, v1::PreviewDataResponse> preview_data;
  Unary<v1::GetEvaluationRequest, v1::GetEvaluationResponse> get_evaluation;
  Unary<v1::ListPresetsRequest, v1::ListPresetsResponse> list_presets;
  Unary<v1::ClassifyRequest, v1::ClassifyResponse> classify;
  // Called first by classify, with the address of the client's connection.
  std::function<void(const std::string&)> on_peer;
  Unary<v1::EmbedRequest, v1::EmbedResponse> embed;
  Unary<v1::ExplainRequest, v1::ExplainResponse> explain;
  Unary<v1::ListModelsRequest, v1::ListModelsResponse> list_models;
  Unary<v1::PublishRunRequest, v1::PublishRunResponse> publish_run;
  Unary<v1::ImportModelRequest, v1::ImportModelResponse> import_model;
  // Every piece of the answer.
  Unary<v1::ExportModelRequest, std::vector<v1::ExportModelResponse>> export_model;
  // Every message of the answer.
  Unary<v1::PackDataRequest, std::vector<v1::PackDataResponse>> pack_data;
  Unary<v1::InspectDataRequest, std::vector<v1::InspectDataResponse>> inspect_data;
  Unary<v1::RemoveModelRequest, v1::RemoveModelResponse> remove_model;
  Unary<v1::LoadModelRequest, v1::LoadModelResponse> load_model;
  Unary<v1::UnloadModelRequest, v1::UnloadModelResponse> unload_model;
  Unary<grpc::health::v1::HealthCheckRequest, grpc::health::v1::HealthCheckResponse> health;
};

class FakeVitd {
 public:
  // `port` 0: a free one.
  explicit FakeVitd(FakeAnswers answers, int port = 0);
  ~FakeVitd();
  std::string address() const;
  int port() const { return port_; }

 private:
  struct Services;
  int port_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<grpc::Server> server_;
};

// What a run of vitctl did.
struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

Terminal Pipe();
Terminal Tty(int columns, bool utf8 = true, bool color = false);

// Called whenever vitctl flushes its output, with all of it so far.
using OnOutput = std::function<void(const std::string& so_far)>;

Outcome Vitctl(const std::vector<std::string>& args, Terminal terminal = Pipe(),
               const std::string& in = "", std::stop_token interrupt = {}, OnOutput on_output = {});

// `args` with --server in front.
Outcome Vitctl(const FakeVitd& vitd, std::vector<std::string> args, Terminal terminal = Pipe(),
               const std::string& in = "", std::stop_token interrupt = {}, OnOutput on_output = {});

// A run that trains: step 1234 of 2860, epoch 4.3 of 10, with points of both splits and a best
// checkpoint.
v1::Run TrainingRun();

// The widest line of `text`, in columns.
int WidestLine(const std::string& text);

}  // namespace vit

#endif  // VIT_TESTS_CLIENT_FAKE_VITD_H_
