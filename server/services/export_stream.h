// The answer to ExportModel: a directory, piece by piece.
#ifndef VIT_SERVER_SERVICES_EXPORT_STREAM_H_
#define VIT_SERVER_SERVICES_EXPORT_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "core/base/task_pool.h"
#include "server/services/call_tracker.h"
#include "vit/v1/repository.pb.h"

namespace vit {

// Fills a directory on a thread of a pool, sends its files in the order of their names, and removes
// it. Deletes itself.
class ExportStream final : public grpc::ServerWriteReactor<vit::v1::ExportModelResponse> {
 public:
  // `directory` must not exist yet. `fill` writes files into it, and sets the identity that the
  // first message carries.
  using Fill =
      std::function<absl::Status(const std::filesystem::path&, vit::v1::ModelIdentity* model)>;
  ExportStream(std::filesystem::path directory, CallTracker* calls)
      : directory_(std::move(directory)), in_flight_(calls->Enter()) {}
  // Makes a stream that only returns `refusal`.
  explicit ExportStream(const absl::Status& refusal);

  void Start(TaskPool* pool, Fill fill);

 private:
  void OnWriteDone(bool ok) override;
  void OnDone() override { delete this; }

  absl::Status Prepare(const Fill& fill);
  // Removes the directory, then ends the stream.
  void End(const grpc::Status& status);
  // Sends the next piece, or ends the stream.
  void SendNext();
  absl::Status ReadPiece();

  const std::filesystem::path directory_;
  const std::shared_ptr<void> in_flight_;
  // Used by one thread at a time: the pool's, then those of gRPC, one write after the other.
  std::vector<std::filesystem::path> files_;  // not yet sent in full, the next one last
  std::ifstream file_;                        // files_.back()
  bool sent_any_of_file_ = false;
  vit::v1::ExportModelResponse piece_;  // kept while it is being written
};

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_EXPORT_STREAM_H_
