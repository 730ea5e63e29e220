// vit.v1.DataService: work on data sets, over gRPC.
#ifndef VIT_SERVER_SERVICES_DATA_SERVICE_H_
#define VIT_SERVER_SERVICES_DATA_SERVICE_H_

#include <stop_token>
#include <utility>

#include "core/base/task_pool.h"
#include "core/data/dataset.h"
#include "server/services/call_tracker.h"
#include "server/services/service_gate.h"
#include "vit/v1/datasets.grpc.pb.h"

namespace vit {

// Answers UNAVAILABLE until Serve. Calls run one after the other, on their own thread: they may
// take hours, and two at once would not make the disk faster. Thread-safe.
class DataService final : public vit::v1::DataService::CallbackService {
 public:
  // `calls` must outlive the service.
  explicit DataService(CallTracker* calls) : calls_(calls) {}

  // Begins to answer; `threads` threads decode images. Called once.
  void Serve(DataSetOptions options, int threads) { gate_.Serve({std::move(options), threads}); }
  // From now on calls are UNAVAILABLE; those in progress are stopped.
  void RefuseNewWork();

 private:
  grpc::ServerWriteReactor<vit::v1::PackDataResponse>* PackData(
      grpc::CallbackServerContext* context, const vit::v1::PackDataRequest* request) override;
  grpc::ServerWriteReactor<vit::v1::InspectDataResponse>* InspectData(
      grpc::CallbackServerContext* context, const vit::v1::InspectDataRequest* request) override;

  CallTracker* const calls_;
  struct Backend {
    DataSetOptions options;
    int threads = 1;
  };
  ServiceGate<Backend> gate_;
  std::stop_source draining_;
  TaskPool pool_{"data", /*threads=*/1, /*max_queued=*/16};  // last: its jobs use all of the above
};

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_DATA_SERVICE_H_
