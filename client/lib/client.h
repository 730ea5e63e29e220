// The C++ client of vitd: typed, blocking calls with deadlines.
#ifndef VIT_CLIENT_LIB_CLIENT_H_
#define VIT_CLIENT_LIB_CLIENT_H_

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpc/health/v1/health.pb.h"
#include "vit/v1/datasets.pb.h"
#include "vit/v1/inference.pb.h"
#include "vit/v1/repository.pb.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Where vitd listens by default.
inline constexpr char kDefaultServer[] = "127.0.0.1:50051";

// Returns whether `status` comes from the connection, not from the server: the server could not be
// reached, or the connection broke. False for the UNAVAILABLE of a server that answers but cannot
// serve now.
bool IsUnreachable(const absl::Status& status);

// Whether `server` (host:port, or unix:PATH) is on this machine, so that its paths are ours.
bool IsLoopback(const std::string& server);

// Follows one run: the messages of one Watch call, in order. One thread calls Next; Cancel may come
// from any.
class WatchStream {
 public:
  enum class Event { kUpdate, kTimeout, kEnd };
  virtual ~WatchStream() = default;

  // Waits for the next message, at most until `until`. kUpdate: `*update` is it. kEnd: the stream
  // is over, and status() says how; the server ends it with OK when the run ends.
  virtual Event Next(absl::Time until, vit::v1::WatchResponse* update) = 0;
  virtual const absl::Status& status() const = 0;
  // Ends the stream soon, with CANCELLED.
  virtual void Cancel() = 0;
};

// A connection to one vitd, made at the first call and shared with no other client. Thread-safe.
//
// Every call has a deadline. Errors carry the server's own message if it sent one. A server that
// cannot be reached is UNAVAILABLE with the address and the reason in words (see IsUnreachable); no
// answer in time is DEADLINE_EXCEEDED.
class VitClient {
 public:
  struct Options {
    std::string server = kDefaultServer;  // host:port, or unix:PATH
    // Deadline of each call but Watch, retries included.
    absl::Duration timeout = absl::Seconds(30);
    // StartTraining only: how long to retry a server that refuses the connection. Once it has
    // answered, UNAVAILABLE is retried until the deadline.
    absl::Duration connect_patience = absl::Seconds(3);
    // Largest message sent or received. A batch of images easily exceeds gRPC's default of 4 MiB.
    int max_message_bytes = 256 << 20;
    std::string user_agent = "vit-client";
  };

  // INVALID_ARGUMENT if `options.server` is not an address. Does not connect.
  static absl::StatusOr<std::unique_ptr<VitClient>> Create(Options options);
  ~VitClient();

  // Retries UNAVAILABLE with growing pauses: the request id makes that safe, so a call without one
  // gets one first.
  absl::StatusOr<vit::v1::StartTrainingResponse> StartTraining(
      vit::v1::StartTrainingRequest request);
  absl::StatusOr<vit::v1::StatusResponse> Status(const vit::v1::StatusRequest& request);
  absl::StatusOr<vit::v1::ListRunsResponse> ListRuns(const vit::v1::ListRunsRequest& request);
  absl::StatusOr<vit::v1::StopRunResponse> StopRun(const vit::v1::StopRunRequest& request);
  absl::StatusOr<vit::v1::ResumeRunResponse> ResumeRun(const vit::v1::ResumeRunRequest& request);
  absl::StatusOr<vit::v1::DeleteRunResponse> DeleteRun(const vit::v1::DeleteRunRequest& request);
  absl::StatusOr<vit::v1::GetHistoryResponse> GetHistory(const vit::v1::GetHistoryRequest& request);
  absl::StatusOr<vit::v1::PreviewDataResponse> PreviewData(
      const vit::v1::PreviewDataRequest& request);
  absl::StatusOr<vit::v1::GetEvaluationResponse> GetEvaluation(
      const vit::v1::GetEvaluationRequest& request);
  absl::StatusOr<vit::v1::ListPresetsResponse> ListPresets(
      const vit::v1::ListPresetsRequest& request);
  // CANCELLED soon after `stop` is requested.
  absl::StatusOr<vit::v1::ClassifyResponse> Classify(const vit::v1::ClassifyRequest& request,
                                                     std::stop_token stop = {});
  absl::StatusOr<vit::v1::EmbedResponse> Embed(const vit::v1::EmbedRequest& request);
  absl::StatusOr<vit::v1::ExplainResponse> Explain(const vit::v1::ExplainRequest& request);
  absl::StatusOr<vit::v1::ListModelsResponse> ListModels(const vit::v1::ListModelsRequest& request);
  absl::StatusOr<vit::v1::PublishRunResponse> PublishRun(const vit::v1::PublishRunRequest& request);
  absl::StatusOr<vit::v1::ImportModelResponse> ImportModel(
      const vit::v1::ImportModelRequest& request);
  // Passes each piece of the answer to `sink`, in order; its error ends the call.
  absl::Status ExportModel(
      const vit::v1::ExportModelRequest& request,
      const std::function<absl::Status(const vit::v1::ExportModelResponse&)>& sink);
  // Passes the daemon's progress to `on_progress`.
  absl::Status PackData(const vit::v1::PackDataRequest& request,
                        const std::function<void(const vit::v1::PackDataResponse&)>& on_progress);
  // Passes the daemon's progress to `on_progress`, and returns the report.
  absl::StatusOr<vit::v1::DataReport> InspectData(
      const vit::v1::InspectDataRequest& request,
      const std::function<void(const vit::v1::InspectDataResponse&)>& on_progress);
  absl::StatusOr<vit::v1::RemoveModelResponse> RemoveModel(
      const vit::v1::RemoveModelRequest& request);
  absl::StatusOr<vit::v1::LoadModelResponse> LoadModel(const vit::v1::LoadModelRequest& request);
  absl::StatusOr<vit::v1::UnloadModelResponse> UnloadModel(
      const vit::v1::UnloadModelRequest& request);
  // gRPC's health protocol; an empty service is the server as a whole. NOT_FOUND: it has no such
  // service. CANCELLED soon after `stop` is requested.
  absl::StatusOr<grpc::health::v1::HealthCheckResponse> CheckHealth(
      const grpc::health::v1::HealthCheckRequest& request, std::stop_token stop = {});

  // `timeout` covers the whole stream; infinite for none. Never fails: an error becomes the
  // stream's status.
  std::unique_ptr<WatchStream> Watch(const vit::v1::WatchRequest& request,
                                     absl::Duration timeout = absl::InfiniteDuration());

  const std::string& server() const { return options_.server; }

 private:
  struct Stubs;
  VitClient(Options options, std::unique_ptr<Stubs> stubs);

  Options options_;
  std::unique_ptr<Stubs> stubs_;
};

// Returns a random (version 4) UUID.
std::string MakeRequestId();

}  // namespace vit

#endif  // VIT_CLIENT_LIB_CLIENT_H_
