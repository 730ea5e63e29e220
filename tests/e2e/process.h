// The real programs, as child processes.
#ifndef VIT_TESTS_E2E_PROCESS_H_
#define VIT_TESTS_E2E_PROCESS_H_

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "core/base/mutex.h"

namespace vit {

// The content of a file, which must be there.
std::string ReadAll(const std::filesystem::path& path);

// A child process whose output is gathered as it comes. It does not outlive the test, however that
// ends.
class Process {
 public:
  explicit Process(const std::vector<std::string>& arguments);
  // Kills it if it still runs.
  ~Process();

  pid_t pid() const { return pid_; }
  void Kill(int signal) const;
  // Blocks until it has ended or `timeout` has passed; returns whether it has ended.
  bool EndsWithin(absl::Duration timeout) const;
  // Blocks until it has ended: its exit code, or 128 + the signal that ended it.
  int Wait();
  // Blocks until a line of standard error holds `text`, for the `count`th time; false if the output
  // ended before.
  bool AwaitLine(const std::string& text, int count = 1);
  // What it has written so far; all of it after Wait.
  std::string standard_output();
  std::string standard_error();

 private:
  void Gather(int fd, std::string* into);

  pid_t pid_ = -1;
  int exit_code_ = -1;
  Mutex mu_;
  CondVar changed_;
  std::string output_ VIT_GUARDED_BY(mu_);
  std::string error_ VIT_GUARDED_BY(mu_);
  bool error_ended_ VIT_GUARDED_BY(mu_) = false;
  std::thread output_reader_, error_reader_;
};

// A separate vitd: one state directory, free ports, one compute thread unless told otherwise (0 for
// one on each processor).
class TestDaemon {
 public:
  explicit TestDaemon(std::filesystem::path state_dir, std::vector<std::string> flags = {},
                      int threads = 1);

  // Starts it and blocks until it is ready.
  void Start(const std::vector<std::string>& more_flags = {});
  Process& process() { return *process_; }
  int grpc_port() const { return grpc_port_; }
  int metrics_port() const { return metrics_port_; }
  const std::filesystem::path& state_dir() const { return state_dir_; }
  std::filesystem::path RunDirectory(const std::string& run) const {
    return state_dir_ / "runs" / run;
  }

  // Runs vitctl against it: exit code and standard output.
  std::pair<int, std::string> Vitctl(std::vector<std::string> arguments) const;

 private:
  const std::filesystem::path state_dir_;
  const std::vector<std::string> flags_;
  const int threads_;
  std::unique_ptr<Process> process_;
  int grpc_port_ = 0;
  int metrics_port_ = 0;
};

// Reports when a run's checkpoints begin to be written and when they are there.
class CheckpointWatch {
 public:
  // Watches from now on. `run_directory` must have a folder "checkpoints".
  explicit CheckpointWatch(const std::filesystem::path& run_directory);
  ~CheckpointWatch();

  // Blocks until the writing of the `count`th checkpoint from now begins, and returns its step.
  int64_t AwaitWriting(int count);

 private:
  int fd_;
};

}  // namespace vit

#endif  // VIT_TESTS_E2E_PROCESS_H_
