// vitd's settings: flags, environment, file, defaults, in that order of precedence.
#ifndef VIT_SERVER_CONFIG_H_
#define VIT_SERVER_CONFIG_H_

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/logging.h"

namespace vit {

struct ServerConfig {
  std::string state_dir;  // absolute
  std::string listen = "127.0.0.1:50051";
  std::string metrics_listen = "127.0.0.1:9108";
  std::vector<std::string> data_roots;  // absolute; none: only generated data can be used
  std::string device = "auto";
  int threads = 0;         // compute threads; 0: one for each processor
  int loader_threads = 0;  // threads that load training data; 0: as each run's spec says
  absl::Duration drain_timeout = absl::Seconds(30);
  bool resume_interrupted = true;
  int max_queued_runs = 100;
  int64_t max_image_bytes = int64_t{32} << 20;
  int64_t max_image_pixels = 100'000'000;
  bool reduced_jpeg_decoding = false;                     // of calls
  int max_batch_size = 32;                                // images of one model computed together
  absl::Duration max_queue_delay = absl::ZeroDuration();  // for others to join a batch
  int max_queued_images = 1024;                           // accepted and not answered yet
  int max_queued_images_per_model = 1024;
  int64_t max_queued_bytes = int64_t{1} << 30;
  absl::Duration inference_timeout = absl::Minutes(2);  // of calls without a deadline
  int max_loaded_models = 4;
  absl::Duration serving_objective = absl::InfiniteDuration();  // p99 of queue and compute
  LogFormat log_format = LogFormat::kText;
  LogLevel log_level = LogLevel::kInfo;
};

// A request other than serving (--help, --version): print `text` on standard output and exit with
// 0.
struct PrintAndExit {
  std::string text;
};

// Looks up an environment variable; null if it is not set.
using Environment = std::function<const char*(const char* name)>;

// Reads the command line, VITD_* variables and the --config file. A setting given in several places
// takes the value of the flag, else of the variable, else of the file. INVALID_ARGUMENT names the
// setting, where it came from, and what was expected. Touches no file but the configuration file
// and the data roots, which must be folders.
absl::StatusOr<std::variant<ServerConfig, PrintAndExit>> ParseServerConfig(
    int argc, const char* const* argv, const Environment& environment);

}  // namespace vit

#endif  // VIT_SERVER_CONFIG_H_
