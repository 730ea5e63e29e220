// The settings that tests of the whole daemon share.
#ifndef VIT_TESTS_SERVER_LOOPBACK_CONFIG_H_
#define VIT_TESTS_SERVER_LOOPBACK_CONFIG_H_

#include <filesystem>

#include "server/config.h"

namespace vit {

// A daemon of one compute thread with its state under `folder`, on free ports of this machine.
inline ServerConfig LoopbackConfig(const std::filesystem::path& folder) {
  ServerConfig config;
  config.state_dir = (folder / "state").string();
  config.listen = "127.0.0.1:0";
  config.metrics_listen = "127.0.0.1:0";
  config.device = "cpu";
  config.threads = 1;
  return config;
}

}  // namespace vit

#endif  // VIT_TESTS_SERVER_LOOPBACK_CONFIG_H_
