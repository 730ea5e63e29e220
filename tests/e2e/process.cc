#include "tests/e2e/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace vit {

namespace fs = std::filesystem;

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

Process::Process(const std::vector<std::string>& arguments) {
  int output[2], error[2];
  if (pipe2(output, O_CLOEXEC) != 0 || pipe2(error, O_CLOEXEC) != 0) abort();
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(output[1], STDOUT_FILENO);
    dup2(error[1], STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(output[1]);
  close(error[1]);
  output_reader_ = std::thread([this, fd = output[0]] { Gather(fd, &output_); });
  error_reader_ = std::thread([this, fd = error[0]] { Gather(fd, &error_); });
}

Process::~Process() {
  if (exit_code_ < 0) {
    Kill(SIGKILL);
    Wait();
  }
}

void Process::Kill(int signal) const { kill(pid_, signal); }

bool Process::EndsWithin(absl::Duration timeout) const {
  if (exit_code_ >= 0) return true;
  // <sys/pidfd.h> of glibc 2.36 does not work in C++.
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  pollfd ended = {.fd = fd, .events = POLLIN, .revents = 0};
  const bool yes = poll(&ended, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) == 1;
  close(fd);
  return yes;
}

int Process::Wait() {
  if (exit_code_ >= 0) return exit_code_;
  int status = 0;
  waitpid(pid_, &status, 0);
  output_reader_.join();
  error_reader_.join();
  exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return exit_code_;
}

bool Process::AwaitLine(const std::string& text, int count) {
  MutexLock lock(&mu_);
  while (true) {
    int found = 0;
    for (size_t at = error_.find(text); at != std::string::npos; at = error_.find(text, at)) {
      at = error_.find('\n', at);
      if (at == std::string::npos) break;
      if (++found == count) return true;
    }
    if (error_ended_) return false;
    changed_.Wait(&mu_);
  }
}

std::string Process::standard_output() {
  MutexLock lock(&mu_);
  return output_;
}

std::string Process::standard_error() {
  MutexLock lock(&mu_);
  return error_;
}

void Process::Gather(int fd, std::string* into) {
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) {
    MutexLock lock(&mu_);
    into->append(buffer, n);
    changed_.NotifyAll();
  }
  close(fd);
  MutexLock lock(&mu_);
  if (into == &error_) error_ended_ = true;
  changed_.NotifyAll();
}

TestDaemon::TestDaemon(fs::path state_dir, std::vector<std::string> flags, int threads)
    : state_dir_(std::move(state_dir)), flags_(std::move(flags)), threads_(threads) {}

void TestDaemon::Start(const std::vector<std::string>& more_flags) {
  std::vector<std::string> arguments = {absl::StrCat(VIT_BIN_DIR, "/vitd"),
                                        "--state-dir",
                                        state_dir_.string(),
                                        "--listen",
                                        "127.0.0.1:0",
                                        "--metrics-listen",
                                        "127.0.0.1:0",
                                        "--threads",
                                        absl::StrCat(threads_),
                                        "--device",
                                        "cpu"};
  arguments.insert(arguments.end(), flags_.begin(), flags_.end());
  arguments.insert(arguments.end(), more_flags.begin(), more_flags.end());
  process_.reset();
  process_ = std::make_unique<Process>(arguments);
  ASSERT_TRUE(process_->AwaitLine("ready grpc=")) << process_->standard_error();
  std::ifstream file(state_dir_ / "vitd.ports");
  const nlohmann::json ports = nlohmann::json::parse(file);
  grpc_port_ = ports["grpc"];
  metrics_port_ = ports["metrics"];
}

std::pair<int, std::string> TestDaemon::Vitctl(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), {absl::StrCat(VIT_BIN_DIR, "/vitctl"), "--server",
                                       absl::StrCat("127.0.0.1:", grpc_port_)});
  Process vitctl(arguments);
  const int code = vitctl.Wait();
  return {code, code == 0 ? vitctl.standard_output()
                          : vitctl.standard_output() + vitctl.standard_error()};
}

CheckpointWatch::CheckpointWatch(const fs::path& run_directory) : fd_(inotify_init1(IN_CLOEXEC)) {
  EXPECT_GE(inotify_add_watch(fd_, (run_directory / "checkpoints").c_str(), IN_CREATE), 0)
      << run_directory;
}

CheckpointWatch::~CheckpointWatch() { close(fd_); }

int64_t CheckpointWatch::AwaitWriting(int count) {
  alignas(inotify_event) char buffer[4096];
  for (ssize_t n; (n = read(fd_, buffer, sizeof(buffer))) > 0;) {
    for (char* at = buffer; at < buffer + n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      const absl::string_view name(event->name);
      if (absl::StartsWith(name, "step-") && absl::EndsWith(name, ".tmp") && --count == 0) {
        return std::stoll(event->name + 5);
      }
      at += sizeof(inotify_event) + event->len;
    }
  }
  ADD_FAILURE() << "inotify: " << strerror(errno);
  return -1;
}

}  // namespace vit
