// Sends many images to a vitd and returns the answers in order.
#ifndef VIT_CLIENT_VITCTL_IMAGES_CLASSIFIER_H_
#define VIT_CLIENT_VITCTL_IMAGES_CLASSIFIER_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/lib/client.h"
#include "client/vitctl/images/image_paths.h"
#include "vit/v1/inference.pb.h"

namespace vit {

// The answer for one file: classes, or the file's own error. Without an answer, the status is why
// everything ended early.
struct FileResult {
  std::string file;
  bool answered = false;
  absl::Status status;
  std::vector<vit::v1::ClassScore> classes;
  vit::v1::ModelIdentity model;
};

// Classifies files with several requests in flight. Holds the bytes of the requests in flight and
// the answers that wait for an earlier one, no more, however many files there are.
class Classifier {
 public:
  struct Options {
    std::string model;
    int top_k = 5;
    vit::v1::Priority priority = vit::v1::PRIORITY_UNSPECIFIED;
    // Requests in flight. With the images of one request, these are 64 images: vitd computes 32 at
    // a time, so the next batch waits while one is computed and its answers travel.
    int concurrency = 4;
    int images_per_request = 16;
    // Of one request, unless a single image is larger: far below vitd's limit of 64 MiB.
    size_t request_bytes = 16 << 20;
  };
  struct Outcome {
    // Not OK if the rest was not sent: an error that does not concern a single file, such as a lost
    // server, or CANCELLED by `stop`.
    absl::Status ended;
    int64_t unanswered = 0;
  };
  // Called for each file in order, as soon as it and all before it are known. Returns whether to
  // continue.
  using OnResult = std::function<bool(FileResult)>;

  Classifier(VitClient& client, Options options);

  // `standard_input`: the bytes of "-". If an error ends it early, files without an answer have
  // that error as their status; if no file at all was answered, or `stop` was requested, files
  // without an answer are left out. `on_result` runs on the calling thread. Call once.
  Outcome Run(const std::vector<ImagePath>& files,
              const absl::StatusOr<std::string>& standard_input, std::stop_token stop,
              const OnResult& on_result);

 private:
  struct Range {
    size_t begin;
    size_t end;
  };

  void Work();
  // Waits until there is room for answers; nothing if there is no more to do.
  std::optional<Range> TakeFiles();
  void ClassifyRange(Range range);
  absl::StatusOr<std::string> Read(size_t file) const;
  // Returns false if the rest is not to be sent.
  bool Send(const vit::v1::ClassifyRequest& request, const std::vector<size_t>& places);
  void Answer(size_t file, FileResult result);
  void End(size_t file, const absl::Status& status);
  // Calls `on_result` for what is known, until nothing more will be.
  void Emit(const OnResult& on_result);

  VitClient& client_;
  const Options options_;
  const std::vector<ImagePath>* files_ = nullptr;
  const absl::StatusOr<std::string>* standard_input_ = nullptr;
  std::stop_source stop_;

  std::mutex mu_;
  std::condition_variable changed_;
  // All below are guarded by mu_.
  std::deque<FileResult> window_;  // of the files from first_ on; not answered: not known yet
  size_t first_ = 0;               // the first file whose result was not emitted
  size_t next_ = 0;                // the first file that no worker took
  int working_ = 0;                // workers that have not ended
  int64_t answered_ = 0;
  bool ending_ = false;
  size_t ended_at_ = 0;  // a file of the request that ended_ is from
  absl::Status ended_;
};

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_IMAGES_CLASSIFIER_H_
