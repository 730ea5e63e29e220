#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <iostream>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "client/vitctl/cli.h"

namespace {

// Global, like signals: a handler cannot find it otherwise.
int interrupt_pipe[2] = {-1, -1};

void OnInterrupt(int) {
  const char byte = 0;
  [[maybe_unused]] const ssize_t n = write(interrupt_pipe[1], &byte, 1);
}

// From now on the first Ctrl-C (or SIGTERM, SIGHUP) stops the returned token; a second one ends the
// process.
std::stop_token CatchInterrupt() {
  std::stop_source source;
  if (pipe2(interrupt_pipe, O_CLOEXEC) != 0) return source.get_token();
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  // Waits in read for the life of the process: a handler itself may do nothing but write.
  std::thread([source]() mutable {
    char byte;
    if (read(interrupt_pipe[0], &byte, 1) == 1) source.request_stop();
  }).detach();
  return source.get_token();
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  vit::Io io;
  io.in = &std::cin;
  io.out = &std::cout;
  io.err = &std::cerr;
  io.terminal = vit::DetectTerminal();
  io.catch_interrupt = CatchInterrupt;
  return vit::RunVitctl(std::vector<std::string>(argv + 1, argv + argc), std::move(io));
}
