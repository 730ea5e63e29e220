#include "tests/client/fake_vitd.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/vitctl/cli.h"

namespace vit {
namespace {

template <typename Function, typename Request, typename Response>
grpc::Status Answer(const Function& function, const Request& request, Response* response) {
  if (!function) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "not in this test");
  return function(request, response);
}

class ReportingBuffer final : public std::stringbuf {
 public:
  explicit ReportingBuffer(OnOutput on_output) : on_output_(std::move(on_output)) {}

 protected:
  int sync() override {
    if (on_output_) on_output_(str());
    return 0;
  }

 private:
  OnOutput on_output_;
};

}  // namespace

struct FakeVitd::Services final {
  struct Training final : v1::TrainingService::Service {
    explicit Training(const FakeAnswers& answers) : answers(answers) {}
    using Context = grpc::ServerContext;
    grpc::Status StartTraining(Context*, const v1::StartTrainingRequest* request,
                               v1::StartTrainingResponse* response) override {
      return Answer(answers.start_training, *request, response);
    }
    grpc::Status Status(Context*, const v1::StatusRequest* request,
                        v1::StatusResponse* response) override {
      return Answer(answers.status, *request, response);
    }
    grpc::Status Watch(Context* context, const v1::WatchRequest* request,
                       grpc::ServerWriter<v1::WatchResponse>* writer) override {
      if (!answers.watch) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "not in this test");
      return answers.watch(*request, context, [writer](const v1::WatchResponse& response) {
        return writer->Write(response);
      });
    }
    grpc::Status ListRuns(Context*, const v1::ListRunsRequest* request,
                          v1::ListRunsResponse* response) override {
      return Answer(answers.list_runs, *request, response);
    }
    grpc::Status StopRun(Context*, const v1::StopRunRequest* request,
                         v1::StopRunResponse* response) override {
      return Answer(answers.stop_run, *request, response);
    }
    grpc::Status ResumeRun(Context*, const v1::ResumeRunRequest* request,
                           v1::ResumeRunResponse* response) override {
      return Answer(answers.resume_run, *request, response);
    }
    grpc::Status DeleteRun(Context*, const v1::DeleteRunRequest* request,
                           v1::DeleteRunResponse* response) override {
      return Answer(answers.delete_run, *request, response);
    }
    grpc::Status GetHistory(Context*, const v1::GetHistoryRequest* request,
                            v1::GetHistoryResponse* response) override {
      return Answer(answers.get_history, *request, response);
    }
    grpc::Status GetEvaluation(Context*, const v1::GetEvaluationRequest* request,
                               v1::GetEvaluationResponse* response) override {
      return Answer(answers.get_evaluation, *request, response);
    }
    grpc::Status PreviewData(Context*, const v1::PreviewDataRequest* request,
                             v1::PreviewDataResponse* response) override {
      return Answer(answers.preview_data, *request, response);
    }
    grpc::Status ListPresets(Context*, const v1::ListPresetsRequest* request,
                             v1::ListPresetsResponse* response) override {
      return Answer(answers.list_presets, *request, response);
    }
    const FakeAnswers& answers;
  };
  struct Inference final : v1::InferenceService::Service {
    explicit Inference(const FakeAnswers& answers) : answers(answers) {}
    grpc::Status Classify(grpc::ServerContext* context, const v1::ClassifyRequest* request,
                          v1::ClassifyResponse* response) override {
      if (answers.on_peer) answers.on_peer(context->peer());
      return Answer(answers.classify, *request, response);
    }
    grpc::Status Embed(grpc::ServerContext*, const v1::EmbedRequest* request,
                       v1::EmbedResponse* response) override {
      return Answer(answers.embed, *request, response);
    }
    grpc::Status Explain(grpc::ServerContext*, const v1::ExplainRequest* request,
                         v1::ExplainResponse* response) override {
      return Answer(answers.explain, *request, response);
    }
    const FakeAnswers& answers;
  };
  struct Models final : v1::ModelService::Service {
    explicit Models(const FakeAnswers& answers) : answers(answers) {}
    using Context = grpc::ServerContext;
    grpc::Status ListModels(Context*, const v1::ListModelsRequest* request,
                            v1::ListModelsResponse* response) override {
      return Answer(answers.list_models, *request, response);
    }
    grpc::Status PublishRun(Context*, const v1::PublishRunRequest* request,
                            v1::PublishRunResponse* response) override {
      return Answer(answers.publish_run, *request, response);
    }
    grpc::Status ImportModel(Context*, const v1::ImportModelRequest* request,
                             v1::ImportModelResponse* response) override {
      return Answer(answers.import_model, *request, response);
    }
    grpc::Status ExportModel(Context*, const v1::ExportModelRequest* request,
                             grpc::ServerWriter<v1::ExportModelResponse>* writer) override {
      std::vector<v1::ExportModelResponse> pieces;
      const grpc::Status status = Answer(answers.export_model, *request, &pieces);
      for (const v1::ExportModelResponse& piece : pieces) writer->Write(piece);
      return status;
    }
    grpc::Status RemoveModel(Context*, const v1::RemoveModelRequest* request,
                             v1::RemoveModelResponse* response) override {
      return Answer(answers.remove_model, *request, response);
    }
    grpc::Status LoadModel(Context*, const v1::LoadModelRequest* request,
                           v1::LoadModelResponse* response) override {
      return Answer(answers.load_model, *request, response);
    }
    grpc::Status UnloadModel(Context*, const v1::UnloadModelRequest* request,
                             v1::UnloadModelResponse* response) override {
      return Answer(answers.unload_model, *request, response);
    }
    const FakeAnswers& answers;
  };
  struct Data final : v1::DataService::Service {
    explicit Data(const FakeAnswers& answers) : answers(answers) {}
    grpc::Status PackData(grpc::ServerContext*, const v1::PackDataRequest* request,
                          grpc::ServerWriter<v1::PackDataResponse>* writer) override {
      std::vector<v1::PackDataResponse> messages;
      const grpc::Status status = Answer(answers.pack_data, *request, &messages);
      for (const v1::PackDataResponse& message : messages) writer->Write(message);
      return status;
    }
    grpc::Status InspectData(grpc::ServerContext*, const v1::InspectDataRequest* request,
                             grpc::ServerWriter<v1::InspectDataResponse>* writer) override {
      std::vector<v1::InspectDataResponse> messages;
      const grpc::Status status = Answer(answers.inspect_data, *request, &messages);
      for (const v1::InspectDataResponse& message : messages) writer->Write(message);
      return status;
    }
    const FakeAnswers& answers;
  };
  struct Health final : grpc::health::v1::Health::Service {
    explicit Health(const FakeAnswers& answers) : answers(answers) {}
    grpc::Status Check(grpc::ServerContext*, const grpc::health::v1::HealthCheckRequest* request,
                       grpc::health::v1::HealthCheckResponse* response) override {
      return Answer(answers.health, *request, response);
    }
    const FakeAnswers& answers;
  };

  explicit Services(FakeAnswers a)
      : answers(std::move(a)),
        training(answers),
        inference(answers),
        models(answers),
        data(answers),
        health(answers) {}
  FakeAnswers answers;
  Training training;
  Inference inference;
  Models models;
  Data data;
  Health health;
};

FakeVitd::FakeVitd(FakeAnswers answers, int port)
    : port_(port), services_(std::make_unique<Services>(std::move(answers))) {
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port), grpc::InsecureServerCredentials(),
                           &port_);
  builder.SetMaxReceiveMessageSize(64 << 20);
  builder.RegisterService(&services_->training);
  builder.RegisterService(&services_->inference);
  builder.RegisterService(&services_->models);
  builder.RegisterService(&services_->data);
  builder.RegisterService(&services_->health);
  server_ = builder.BuildAndStart();
}

FakeVitd::~FakeVitd() {
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
}

std::string FakeVitd::address() const { return absl::StrCat("127.0.0.1:", port_); }

Terminal Pipe() { return Terminal(); }

Terminal Tty(int columns, bool utf8, bool color) {
  Terminal terminal;
  terminal.out_is_tty = terminal.err_is_tty = true;
  terminal.utf8 = utf8;
  terminal.color = color;
  terminal.columns = [columns] { return columns; };
  return terminal;
}

Outcome Vitctl(const std::vector<std::string>& args, Terminal terminal, const std::string& in,
               std::stop_token interrupt, OnOutput on_output) {
  std::istringstream input(in);
  ReportingBuffer buffer(std::move(on_output));
  std::ostream out(&buffer);
  std::ostringstream err;
  Io io;
  io.in = &input;
  io.out = &out;
  io.err = &err;
  io.terminal = std::move(terminal);
  io.catch_interrupt = [interrupt] { return interrupt; };
  Outcome outcome;
  outcome.exit_code = RunVitctl(args, io);
  outcome.out = buffer.str();
  outcome.err = err.str();
  return outcome;
}

Outcome Vitctl(const FakeVitd& vitd, std::vector<std::string> args, Terminal terminal,
               const std::string& in, std::stop_token interrupt, OnOutput on_output) {
  args.insert(args.begin(), {"--server", vitd.address()});
  return Vitctl(args, std::move(terminal), in, interrupt, std::move(on_output));
}

v1::Run TrainingRun() {
  v1::Run run;
  run.set_id("7f3a2c");
  run.set_name("pets");
  run.set_state(v1::RUN_STATE_RUNNING);
  run.set_phase("training");
  run.set_preset("vit_small_patch16_224");
  run.set_data_source("folder:/data/pets");
  run.mutable_create_time()->set_seconds(1'700'000'000);
  run.mutable_start_time()->set_seconds(1'700'000'010);
  run.set_step(1234);
  run.set_total_steps(2860);
  run.set_epoch(4.31);
  run.set_total_epochs(10);
  run.set_images_per_second(1204.4);
  run.mutable_time_left()->set_seconds(248);
  run.set_parameter_count(21'700'000);
  run.set_class_count(37);
  v1::MetricPoint* train = run.mutable_last_train();
  train->set_split(v1::SPLIT_TRAIN);
  train->set_step(1220);
  train->set_loss(0.8312);
  train->set_accuracy(0.714);
  train->set_learning_rate(8.2e-4);
  train->set_grad_norm(1.21);
  v1::MetricPoint* validation = run.mutable_last_validation();
  v1::EvaluationMetrics* evaluation = validation->mutable_evaluation();
  evaluation->set_top_k_accuracy(0.97);
  evaluation->set_precision(0.7);
  evaluation->set_recall(0.66);
  evaluation->set_f1(0.67);
  evaluation->set_precision_weighted(0.71);
  evaluation->set_f1_weighted(0.68);
  evaluation->set_calibration_error(0.031);
  validation->set_split(v1::SPLIT_VALIDATION);
  validation->set_step(1200);
  validation->set_loss(0.9021);
  validation->set_accuracy(0.689);
  v1::CheckpointInfo* best = run.mutable_best_checkpoint();
  best->set_step(1200);
  best->set_accuracy(0.689);
  best->set_best(true);
  *run.mutable_last_checkpoint() = *best;
  return run;
}

int WidestLine(const std::string& text) {
  int widest = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    widest = std::max(widest, DisplayWidth(line));
  }
  return widest;
}

}  // namespace vit
