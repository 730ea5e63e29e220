#include "client/lib/client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <random>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/lib/transport_error.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "vit/v1/datasets.grpc.pb.h"
#include "vit/v1/inference.grpc.pb.h"
#include "vit/v1/repository.grpc.pb.h"
#include "vit/v1/training.grpc.pb.h"

namespace vit {
namespace {

using ::vit::v1::DataService;
using ::vit::v1::InferenceService;
using ::vit::v1::ModelService;
using ::vit::v1::TrainingService;

constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
constexpr absl::Duration kLastBackoff = absl::Seconds(2);

// The host of "host:port", "[::1]:port" or "unix:PATH" without port and brackets.
std::string HostOf(const std::string& server) {
  if (absl::StartsWith(server, "[")) return server.substr(1, server.find(']') - 1);
  return server.substr(0, server.rfind(':'));
}

absl::Status CheckAddress(const std::string& server) {
  if (absl::StartsWith(server, "unix:") && server.size() > 5) return absl::OkStatus();
  const size_t colon = server.rfind(':');
  int port = 0;
  if (colon != std::string::npos && colon > 0 &&
      absl::SimpleAtoi(server.substr(colon + 1), &port) && port > 0 && port < 65536 &&
      (server[0] == '[' || server.find(':') == colon)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "'", server, "' is not an address; expected HOST:PORT, such as ", kDefaultServer));
}

void SetDeadline(absl::Duration timeout, grpc::ClientContext* context) {
  if (timeout == absl::InfiniteDuration()) return;
  context->set_deadline(absl::ToChronoTime(absl::Now() + timeout));
}

// `left`: what remains of the timeout, in a call that is retried. `stop` cancels the call.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Call(Stub& stub,
                              grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                              const Request& request, const VitClient::Options& options,
                              absl::Duration left, const std::stop_token& stop = {}) {
  grpc::ClientContext context;
  SetDeadline(left, &context);
  Response response;
  const std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) {
    if (stop.stop_requested()) return absl::CancelledError("the call was cancelled");
    return TranslateError(status.error_code(), status.error_message(), options.server,
                          options.timeout);
  }
  return response;
}

// Between half of `backoff` and all of it, so that clients that failed together do not retry
// together.
absl::Duration Jittered(absl::Duration backoff) {
  std::random_device device;
  return backoff * std::uniform_real_distribution<double>(0.5, 1.0)(device);
}

// One completion queue serves the call, so that one thread can wait for a message and for the clock
// at once.
class GrpcWatchStream final : public WatchStream {
 public:
  GrpcWatchStream(TrainingService::Stub& stub, const vit::v1::WatchRequest& request,
                  const std::string& server, absl::Duration timeout)
      : server_(server), timeout_(timeout) {
    SetDeadline(timeout, &context_);
    reader_ = stub.PrepareAsyncWatch(&context_, request, &queue_);
    reader_->StartCall(Tag(Step::kStart));
  }

  ~GrpcWatchStream() override {
    context_.TryCancel();
    queue_.Shutdown();
    void* tag;
    bool ok;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  Event Next(absl::Time until, vit::v1::WatchResponse* update) override {
    if (ended_) return Event::kEnd;
    for (;;) {
      void* tag;
      bool ok;
      switch (queue_.AsyncNext(&tag, &ok, absl::ToChronoTime(until))) {
        case grpc::CompletionQueue::TIMEOUT:
          return Event::kTimeout;
        case grpc::CompletionQueue::SHUTDOWN:
          ended_ = true;
          return Event::kEnd;
        case grpc::CompletionQueue::GOT_EVENT:
          break;
      }
      if (tag == Tag(Step::kFinish)) {
        ended_ = true;
        status_ = cancelled_ ? absl::CancelledError("the watch was cancelled")
                             : TranslateError(finish_.error_code(), finish_.error_message(),
                                              server_, timeout_);
        return Event::kEnd;
      }
      if (!ok) {
        reader_->Finish(&finish_, Tag(Step::kFinish));
        continue;
      }
      const bool have_message = tag == Tag(Step::kRead);
      if (have_message) update->Swap(&message_);
      reader_->Read(&message_, Tag(Step::kRead));
      if (have_message) return Event::kUpdate;
    }
  }

  const absl::Status& status() const override { return status_; }
  void Cancel() override {
    cancelled_ = true;
    context_.TryCancel();
  }

 private:
  enum class Step : intptr_t { kStart = 1, kRead, kFinish };
  static void* Tag(Step step) { return reinterpret_cast<void*>(static_cast<intptr_t>(step)); }

  const std::string server_;
  const absl::Duration timeout_;
  std::atomic<bool> cancelled_ = false;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncReader<vit::v1::WatchResponse>> reader_;
  vit::v1::WatchResponse message_;  // where the Read in flight writes
  grpc::Status finish_;
  absl::Status status_;
  bool ended_ = false;
};

}  // namespace

struct VitClient::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel)
      : training(channel), inference(channel), model(channel), data(channel), health(channel) {}
  TrainingService::Stub training;
  InferenceService::Stub inference;
  ModelService::Stub model;
  DataService::Stub data;
  grpc::health::v1::Health::Stub health;
};

bool IsUnreachable(const absl::Status& status) {
  return GetTransportFailure(status) != TransportFailure::kNone;
}

bool IsLoopback(const std::string& server) {
  if (absl::StartsWith(server, "unix:")) return true;
  const std::string host = HostOf(server);
  return host == "localhost" || host == "::1" || absl::StartsWith(host, "127.");
}

absl::StatusOr<std::unique_ptr<VitClient>> VitClient::Create(Options options) {
  if (absl::Status status = CheckAddress(options.server); !status.ok()) return status;
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(options.max_message_bytes);
  arguments.SetMaxSendMessageSize(options.max_message_bytes);
  arguments.SetUserAgentPrefix(options.user_agent);
  // gRPC shares one connection among channels with the same address and arguments.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A daemon that restarts is back within moments: gRPC's own pauses between attempts start at a
  // second.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // Notices that the server's machine is gone; servers count pings more frequent than five minutes
  // as abuse.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 330 * 1000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20 * 1000);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  // Otherwise http_proxy in the environment would send even 127.0.0.1 to a proxy.
  if (IsLoopback(options.server)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  auto channel =
      grpc::CreateCustomChannel(options.server, grpc::InsecureChannelCredentials(), arguments);
  return std::unique_ptr<VitClient>(
      new VitClient(std::move(options), std::make_unique<Stubs>(std::move(channel))));
}

VitClient::VitClient(Options options, std::unique_ptr<Stubs> stubs)
    : options_(std::move(options)), stubs_(std::move(stubs)) {}
VitClient::~VitClient() = default;

absl::StatusOr<vit::v1::StartTrainingResponse> VitClient::StartTraining(
    vit::v1::StartTrainingRequest request) {
  if (request.request_id().empty()) request.set_request_id(MakeRequestId());
  const absl::Time start = absl::Now();
  const absl::Time deadline = start + options_.timeout;
  bool reached = false;
  absl::Duration backoff = kFirstBackoff;
  for (;;) {
    auto response = Call(stubs_->training, &TrainingService::Stub::StartTraining, request, options_,
                         deadline - absl::Now());
    if (response.status().code() != absl::StatusCode::kUnavailable) return response;
    reached |= GetTransportFailure(response.status()) != TransportFailure::kConnect;
    const absl::Time limit =
        reached ? deadline : std::min(deadline, start + options_.connect_patience);
    const absl::Duration pause = Jittered(backoff);
    if (absl::Now() + pause >= limit) return response;
    std::this_thread::sleep_for(absl::ToChronoNanoseconds(pause));
    backoff = std::min(backoff * 1.6, kLastBackoff);
  }
}

absl::StatusOr<vit::v1::StatusResponse> VitClient::Status(const vit::v1::StatusRequest& request) {
  return Call(stubs_->training, &TrainingService::Stub::Status, request, options_,
              options_.timeout);
}

absl::StatusOr<vit::v1::ListRunsResponse> VitClient::ListRuns(
    const vit::v1::ListRunsRequest& request) {
  return Call(stubs_->training, &TrainingService::Stub::ListRuns, request, options_,
              options_.timeout);
}

absl::StatusOr<vit::v1::StopRunResponse> VitClient::StopRun(
    const vit::v1::StopRunRequest& request) {
  return Call(stubs_->training, &TrainingService::Stub::StopRun, request, options_,
              options_.timeout);
}

absl::StatusOr<vit::v1::ResumeRunResponse> VitClient::ResumeRun(
    const vit::v1::ResumeRunRequest& request) {
  return Call(stubs_->training, &TrainingService::Stub::ResumeRun, request, options_,
              options_.timeout);
}

absl::StatusOr<vit::v1::DeleteRunResponse> VitClient::DeleteRun(
    const vit::v1::DeleteRunRequest& request) {
  return Call(stubs_->training, &TrainingService::Stub::DeleteRun, request, options_,
              options_.timeout);
}

absl::StatusOr<vit::v1::GetHistoryResponse> VitClient::GetHistory(
    const vit::v1::GetHistoryRequest& request) {
  return Call(stubs_->training, &TrainingService::Stub::GetHistory, request, options_,
              options_.timeout);
}

absl::StatusOr<vit::v1::GetEvaluationResponse> VitClient::GetEvaluation(
    const vit::v1::GetEvaluationRequest& request) {
  return Call(stubs_->training, &TrainingService::Stub::GetEvaluation, request, options_,
              options_.timeout);
}

absl::StatusOr<vit::v1::PreviewDataResponse> VitClient::PreviewData(
    const vit::v1::PreviewDataRequest& request) {
  return Call(stubs_->training, &TrainingService::Stub::PreviewData, request, options_,
              options_.timeout);
}

absl::StatusOr<vit::v1::ListPresetsResponse> VitClient::ListPresets(
    const vit::v1::ListPresetsRequest& request) {
  return Call(stubs_->training, &TrainingService::Stub::ListPresets, request, options_,
              options_.timeout);
}

absl::StatusOr<vit::v1::ClassifyResponse> VitClient::Classify(
    const vit::v1::ClassifyRequest& request, std::stop_token stop) {
  return Call(stubs_->inference, &InferenceService::Stub::Classify, request, options_,
              options_.timeout, stop);
}

absl::StatusOr<vit::v1::EmbedResponse> VitClient::Embed(const vit::v1::EmbedRequest& request) {
  return Call(stubs_->inference, &InferenceService::Stub::Embed, request, options_,
              options_.timeout);
}

absl::StatusOr<vit::v1::ExplainResponse> VitClient::Explain(
    const vit::v1::ExplainRequest& request) {
  return Call(stubs_->inference, &InferenceService::Stub::Explain, request, options_,
              options_.timeout);
}

absl::StatusOr<vit::v1::ListModelsResponse> VitClient::ListModels(
    const vit::v1::ListModelsRequest& request) {
  return Call(stubs_->model, &ModelService::Stub::ListModels, request, options_, options_.timeout);
}

absl::StatusOr<vit::v1::PublishRunResponse> VitClient::PublishRun(
    const vit::v1::PublishRunRequest& request) {
  return Call(stubs_->model, &ModelService::Stub::PublishRun, request, options_, options_.timeout);
}

absl::StatusOr<vit::v1::ImportModelResponse> VitClient::ImportModel(
    const vit::v1::ImportModelRequest& request) {
  return Call(stubs_->model, &ModelService::Stub::ImportModel, request, options_, options_.timeout);
}

absl::Status VitClient::ExportModel(
    const vit::v1::ExportModelRequest& request,
    const std::function<absl::Status(const vit::v1::ExportModelResponse&)>& sink) {
  grpc::ClientContext context;
  SetDeadline(options_.timeout, &context);
  const auto reader = stubs_->model.ExportModel(&context, request);
  absl::Status taken;
  for (vit::v1::ExportModelResponse piece; taken.ok() && reader->Read(&piece);) taken = sink(piece);
  if (!taken.ok()) context.TryCancel();
  const grpc::Status status = reader->Finish();
  if (!taken.ok()) return taken;
  return TranslateError(status.error_code(), status.error_message(), options_.server,
                        options_.timeout);
}

absl::Status VitClient::PackData(
    const vit::v1::PackDataRequest& request,
    const std::function<void(const vit::v1::PackDataResponse&)>& on_progress) {
  grpc::ClientContext context;
  SetDeadline(options_.timeout, &context);
  const auto reader = stubs_->data.PackData(&context, request);
  for (vit::v1::PackDataResponse progress; reader->Read(&progress);) on_progress(progress);
  const grpc::Status status = reader->Finish();
  return TranslateError(status.error_code(), status.error_message(), options_.server,
                        options_.timeout);
}

absl::StatusOr<vit::v1::DataReport> VitClient::InspectData(
    const vit::v1::InspectDataRequest& request,
    const std::function<void(const vit::v1::InspectDataResponse&)>& on_progress) {
  grpc::ClientContext context;
  SetDeadline(options_.timeout, &context);
  const auto reader = stubs_->data.InspectData(&context, request);
  vit::v1::InspectDataResponse message;
  while (reader->Read(&message)) on_progress(message);
  const grpc::Status status = reader->Finish();
  if (!status.ok()) {
    return TranslateError(status.error_code(), status.error_message(), options_.server,
                          options_.timeout);
  }
  return message.report();
}

absl::StatusOr<vit::v1::RemoveModelResponse> VitClient::RemoveModel(
    const vit::v1::RemoveModelRequest& request) {
  return Call(stubs_->model, &ModelService::Stub::RemoveModel, request, options_, options_.timeout);
}

absl::StatusOr<vit::v1::LoadModelResponse> VitClient::LoadModel(
    const vit::v1::LoadModelRequest& request) {
  return Call(stubs_->model, &ModelService::Stub::LoadModel, request, options_, options_.timeout);
}

absl::StatusOr<vit::v1::UnloadModelResponse> VitClient::UnloadModel(
    const vit::v1::UnloadModelRequest& request) {
  return Call(stubs_->model, &ModelService::Stub::UnloadModel, request, options_, options_.timeout);
}

absl::StatusOr<grpc::health::v1::HealthCheckResponse> VitClient::CheckHealth(
    const grpc::health::v1::HealthCheckRequest& request, std::stop_token stop) {
  return Call(stubs_->health, &grpc::health::v1::Health::Stub::Check, request, options_,
              options_.timeout, stop);
}

std::unique_ptr<WatchStream> VitClient::Watch(const vit::v1::WatchRequest& request,
                                              absl::Duration timeout) {
  return std::make_unique<GrpcWatchStream>(stubs_->training, request, options_.server, timeout);
}

std::string MakeRequestId() {
  std::random_device device;
  std::array<uint32_t, 4> words;
  for (uint32_t& word : words) word = device();
  words[1] = (words[1] & 0xffff0fffu) | 0x00004000u;  // version 4: random
  words[2] = (words[2] & 0x3fffffffu) | 0x80000000u;  // variant 1
  return absl::StrFormat("%08x-%04x-%04x-%04x-%04x%08x", words[0], words[1] >> 16,
                         words[1] & 0xffff, words[2] >> 16, words[2] & 0xffff, words[3]);
}

}  // namespace vit
