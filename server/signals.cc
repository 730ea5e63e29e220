#include "server/signals.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <utility>

namespace vit {
namespace {

constexpr std::chrono::seconds kSameRequest(1);

sigset_t HandledSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

ShutdownSignals::ShutdownSignals() {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  const sigset_t set = HandledSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);  // every thread made from here on inherits this
  thread_ = std::thread([this] { Wait(); });
}

ShutdownSignals::~ShutdownSignals() {
  stopping_ = true;
  // It waits with sigwait, so this does not kill it.
  // NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread)
  pthread_kill(thread_.native_handle(), SIGTERM);
  thread_.join();
}

void ShutdownSignals::OnFirst(std::function<void()> action) {
  MutexLock lock(&mu_);
  if (first_ != 0) {
    action();
  } else {
    on_first_ = std::move(action);
  }
}

void ShutdownSignals::OnSecond(std::function<void(int signal)> action) {
  MutexLock lock(&mu_);
  on_second_ = std::move(action);
}

bool ShutdownSignals::received() const {
  MutexLock lock(&mu_);
  return first_ != 0;
}

int ShutdownSignals::AwaitFirst() {
  MutexLock lock(&mu_);
  while (first_ == 0) received_.Wait(&mu_);
  return first_;
}

void ShutdownSignals::Wait() {
  const sigset_t set = HandledSignals();
  while (true) {
    int signal = 0;
    if (sigwait(&set, &signal) != 0) continue;
    if (stopping_) return;
    MutexLock lock(&mu_);
    const auto now = std::chrono::steady_clock::now();
    if (first_ != 0) {
      if (now - first_time_ < kSameRequest) continue;
      if (on_second_) on_second_(signal);
      _exit(128 + signal);
    }
    first_ = signal;
    first_time_ = now;
    if (on_first_) on_first_();
    received_.NotifyAll();
  }
}

}  // namespace vit
