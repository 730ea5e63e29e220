#include "server/services/data_service.h"

#include <filesystem>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/data/data_config.h"
#include "core/data/tools/inspect_data.h"
#include "core/data/tools/pack_data.h"
#include "core/spec/rules.h"
#include "proto/spec_text.h"
#include "server/services/job_stream.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::vit::v1::InspectDataRequest;
using ::vit::v1::InspectDataResponse;
using ::vit::v1::PackDataRequest;
using ::vit::v1::PackDataResponse;

constexpr int kDefaultJpegQuality = 95;

// Fields that say how data is used mean nothing when it is only read.
absl::Status CheckSourceAlone(const vit::v1::DataConfig& data) {
  vit::v1::DataConfig rest = data;
  rest.clear_source();
  rest.clear_shapes();
  if (rest.ByteSizeLong() == 0) return ValidateDataConfig(data);
  return absl::InvalidArgumentError(absl::StrCat(
      "data: only source and shapes apply here, but more is set: ", rest.ShortDebugString(),
      "; set it in the spec of the run"));
}

// Returns `path` with the links in its folder resolved.
absl::StatusOr<fs::path> ResolveNewFile(const std::string& path,
                                        const std::vector<std::string>& roots) {
  const fs::path given(path);
  const std::string name = given.filename().string();
  if (!given.is_absolute() || name.empty() || name == "." || name == "..") {
    return absl::InvalidArgumentError(absl::StrCat(
        "path '", path, "' is not an absolute path of a file; give one on the daemon's machine"));
  }
  VIT_ASSIGN_OR_RETURN(const fs::path folder,
                       ResolveUnderRoots(given.parent_path().string(), roots));
  if (!fs::is_directory(folder)) {
    return absl::InvalidArgumentError(absl::StrCat(folder.string(), " is not a folder"));
  }
  return folder / name;
}

PackDataResponse ToResponse(const PackProgress& progress) {
  PackDataResponse response;
  response.set_samples(progress.samples);
  response.set_total_samples(progress.total);
  response.set_size_bytes(progress.bytes);
  response.set_resumed_from(progress.resumed_from);
  response.set_unreadable(progress.unreadable);
  for (const std::string& name : progress.first_unreadable) response.add_first_unreadable(name);
  return response;
}

absl::Status Pack(const PackDataRequest& request, const DataSetOptions& options,
                  const std::stop_token& stop,
                  const std::function<void(const PackDataResponse&)>& tell) {
  VIT_RETURN_IF_ERROR(CheckSourceAlone(request.data()));
  VIT_ASSIGN_OR_RETURN(const fs::path file, ResolveNewFile(request.path(), options.data_roots));
  VIT_ASSIGN_OR_RETURN(const std::shared_ptr<const DataSet> data,
                       DataSet::OpenWhole(request.data(), options));
  PackOptions pack;
  pack.max_side = request.max_side();
  pack.jpeg_quality = request.has_jpeg_quality() ? request.jpeg_quality() : kDefaultJpegQuality;
  pack.limits = options.limits;
  PackDataResponse last;
  VIT_RETURN_IF_ERROR(vit::PackData(*data, file, pack, stop, [&](const PackProgress& progress) {
    last = ToResponse(progress);
    tell(last);
  }));
  last.set_done(true);
  tell(last);
  return absl::OkStatus();
}

absl::Status Inspect(const InspectDataRequest& request, const DataSetOptions& options, int threads,
                     const std::stop_token& stop,
                     const std::function<void(const InspectDataResponse&)>& tell) {
  VIT_RETURN_IF_ERROR(CheckEnums(request.data(), "data."));
  VIT_RETURN_IF_ERROR(ValidateDataConfig(request.data()));
  VIT_ASSIGN_OR_RETURN(const std::shared_ptr<const DataSet> data,
                       DataSet::Open(request.data(), options));
  vit::v1::DataConfig filled = request.data();
  FillRuleDefaults(&filled);
  const InspectOptions inspect = {.threads = threads,
                                  .max_bad_fraction = filled.max_bad_fraction()};
  InspectDataResponse response;
  response.set_total_samples(data->size(DataSplit::kTrain) + data->size(DataSplit::kValidation));
  VIT_ASSIGN_OR_RETURN(*response.mutable_report(),
                       vit::InspectData(*data, inspect, stop, [&](int64_t samples) {
                         InspectDataResponse progress;
                         progress.set_samples(samples);
                         progress.set_total_samples(response.total_samples());
                         tell(progress);
                       }));
  response.set_samples(response.total_samples());
  tell(response);
  return absl::OkStatus();
}

}  // namespace

void DataService::RefuseNewWork() {
  gate_.Drain();
  draining_.request_stop();
}

grpc::ServerWriteReactor<PackDataResponse>* DataService::PackData(
    grpc::CallbackServerContext* /*context*/, const PackDataRequest* request) {
  using Stream = JobStream<PackDataResponse>;
  if (const absl::Status refused = gate_.Check(/*new_work=*/true); !refused.ok()) {
    return new Stream(refused);
  }
  auto* stream = new Stream(calls_, draining_.get_token());
  stream->Start(&pool_,
                [this, request = *request](const std::stop_token& stop, const Stream::Tell& tell) {
                  return CatchExceptions(
                      "pack", [&] { return Pack(request, gate_.backend().options, stop, tell); });
                });
  return stream;
}

grpc::ServerWriteReactor<InspectDataResponse>* DataService::InspectData(
    grpc::CallbackServerContext* /*context*/, const InspectDataRequest* request) {
  using Stream = JobStream<InspectDataResponse>;
  if (const absl::Status refused = gate_.Check(/*new_work=*/true); !refused.ok()) {
    return new Stream(refused);
  }
  auto* stream = new Stream(calls_, draining_.get_token());
  stream->Start(&pool_,
                [this, request = *request](const std::stop_token& stop, const Stream::Tell& tell) {
                  const Backend& backend = gate_.backend();
                  return CatchExceptions("inspect", [&] {
                    return Inspect(request, backend.options, backend.threads, stop, tell);
                  });
                });
  return stream;
}

}  // namespace vit
