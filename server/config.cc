#include "server/config.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/base/compute/device.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "proto/spec_text.h"
#include "server/net/listen_address.h"

namespace vit {
namespace {

constexpr char kDescription[] =
    "vitd trains Vision Transformers on this machine's accelerator and serves them while it does.\n"
    "Every option may also stand in the --config file (without the dashes) or in an environment "
    "variable\n"
    "(VITD_STATE_DIR for --state-dir). A flag wins over a variable, a variable over the file.";

// What the options write to before it is checked and converted.
struct RawSettings {
  ServerConfig config;
  std::string config_file;
  std::string drain_timeout = "30s";
  std::string log_format = "text";
  std::string log_level = "info";
};

std::string DefaultStateDir(const Environment& environment) {
  if (const char* state = environment("XDG_STATE_HOME"); state != nullptr && *state == '/') {
    return absl::StrCat(state, "/vitd");
  }
  const char* home = environment("HOME");
  if (geteuid() == 0 || home == nullptr || *home == '\0') return "/var/lib/vitd";
  return absl::StrCat(home, "/.local/state/vitd");
}

std::string EnvironmentName(const CLI::Option& option) {
  std::string name = absl::StrReplaceAll(option.get_lnames()[0], {{"-", "_"}});
  for (char& c : name) c = static_cast<char>(toupper(c));
  return "VITD_" + name;
}

void AddOptions(CLI::App* app, RawSettings* raw) {
  ServerConfig& config = raw->config;
  CLI::AsSizeValue size(/*kb_is_1000=*/true);
  size.description("");  // its own is a list of units
  app->add_option("--state-dir", config.state_dir, "Folder of runs, checkpoints and the database")
      ->type_name("DIR")
      ->capture_default_str()
      ->group("Storage");
  app->add_option("--data-root", config.data_roots,
                  "Folder that training data and weights may be read from; repeatable")
      ->type_name("DIR")
      ->group("Storage");
  app->add_option("--listen", config.listen,
                  "Where gRPC listens; port 0 picks a free one, unix:/PATH is a socket")
      ->type_name("HOST:PORT")
      ->capture_default_str()
      ->group("Network");
  app->add_option("--metrics-listen", config.metrics_listen,
                  "Where http://HOST:PORT/metrics is served")
      ->type_name("HOST:PORT")
      ->capture_default_str()
      ->group("Network");
  app->add_option("--max-image-bytes", config.max_image_bytes,
                  "Largest encoded picture that is accepted (1000, 500kB, 32MiB)")
      ->transform(size)
      ->type_name("SIZE")
      ->capture_default_str()
      ->group("Limits");
  app->add_option("--max-image-pixels", config.max_image_pixels,
                  "Most pixels of a picture, read from its header before it is decoded")
      ->type_name("COUNT")
      ->capture_default_str()
      ->group("Limits");
  app->add_option("--max-queued-runs", config.max_queued_runs, "Runs that may wait for the device")
      ->type_name("COUNT")
      ->capture_default_str()
      ->group("Limits");
  app->add_option("--device", config.device, "auto, cpu, cuda or cuda:N")
      ->type_name("DEVICE")
      ->capture_default_str()
      ->group("Compute");
  app->add_option("--threads", config.threads, "Compute threads; 0 is one for each processor")
      ->type_name("COUNT")
      ->capture_default_str()
      ->group("Compute");
  app->add_option("--loader-threads", config.loader_threads,
                  "Threads that load training data, for every run; 0 is as each run's spec says")
      ->type_name("COUNT")
      ->capture_default_str()
      ->group("Compute");
  app->add_option("--drain-timeout", raw->drain_timeout,
                  "How long SIGTERM waits for calls in flight and a checkpoint (30s, 2m)")
      ->type_name("DURATION")
      ->capture_default_str()
      ->group("Life cycle");
  app->add_option("--resume-interrupted", config.resume_interrupted,
                  "Whether runs that an earlier vitd left unfinished go on at start")
      ->type_name("BOOL")
      ->default_str("true")
      ->group("Life cycle");
  app->add_option("--log-format", raw->log_format, "text or json, on standard error")
      ->type_name("FORMAT")
      ->capture_default_str()
      ->group("Logging");
  app->add_option("--log-level", raw->log_level, "debug, info, warning or error")
      ->type_name("LEVEL")
      ->capture_default_str()
      ->group("Logging");
  app->add_option("--config", raw->config_file, "File of settings (TOML or INI)")
      ->type_name("FILE")
      ->group("General");
}

// Gives `option` the value(s) `inputs`, unless it has one already. `origin` is what a message calls
// the place.
absl::Status SetOption(CLI::Option* option, const std::vector<std::string>& inputs,
                       absl::string_view origin) {
  if (option->count() > 0) return absl::OkStatus();
  try {
    option->add_result(inputs);
    option->run_callback();
  } catch (const CLI::Error& e) {
    return absl::InvalidArgumentError(absl::StrCat(origin, ": ", e.what()));
  }
  return absl::OkStatus();
}

// The options that a person may set, thus not --help and --version.
std::vector<CLI::Option*> Settings(CLI::App* app) {
  return app->get_options(
      [](const CLI::Option* option) { return option->get_items_expected() > 0; });
}

absl::Status ApplyEnvironment(const Environment& environment, CLI::App* app) {
  for (CLI::Option* option : Settings(app)) {
    const std::string name = EnvironmentName(*option);
    const char* value = environment(name.c_str());
    if (value == nullptr || *value == '\0') continue;
    std::vector<std::string> inputs = {value};
    // As PATH does it.
    if (option->check_lname("data-root")) inputs = absl::StrSplit(value, ':', absl::SkipEmpty());
    VIT_RETURN_IF_ERROR(SetOption(option, inputs, name));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadConfigFile(const std::string& path) {
  constexpr int64_t kMaxBytes = 1 << 20;
  std::error_code error;
  // Opening a pipe could wait for ever.
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--config ", path, ": not a regular file; expected a file of settings"));
  }
  absl::StatusOr<std::string> content = ReadFile(path, kMaxBytes);
  if (content.ok()) return content;
  return absl::InvalidArgumentError(absl::StrCat("--config: ", content.status().message()));
}

absl::Status ApplyFile(const std::string& path, CLI::App* app) {
  VIT_ASSIGN_OR_RETURN(std::string content, ReadConfigFile(path));
  std::istringstream file(std::move(content));
  std::vector<CLI::ConfigItem> items;
  try {
    items = CLI::ConfigTOML().from_config(file);
  } catch (const CLI::Error& e) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", e.what()));
  }
  std::vector<std::string> known;
  for (CLI::Option* option : Settings(app)) known.push_back(option->get_lnames()[0]);
  for (const CLI::ConfigItem& item : items) {
    if (!item.parents.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": section [", item.parents[0],
                       "] is unknown; settings stand outside of sections"));
    }
    const std::string name = absl::StrReplaceAll(item.name, {{"_", "-"}});
    CLI::Option* option = app->get_option_no_throw("--" + name);
    if (option == nullptr || option->get_items_expected() == 0 || name == "config") {
      const std::string nearest = NearestName(name, known);
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": unknown setting '", item.name, "'",
                       nearest.empty() ? "" : absl::StrCat("; did you mean '", nearest, "'?")));
    }
    VIT_RETURN_IF_ERROR(SetOption(option, item.inputs, absl::StrCat(path, ": ", item.name)));
  }
  return absl::OkStatus();
}

absl::Status CheckRange(absl::string_view name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", value, "; expected ", low, " to ", high));
}

absl::StatusOr<std::string> AbsoluteFolder(absl::string_view name, const std::string& path) {
  if (path.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is empty; expected a folder"));
  }
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  if (error) {
    return absl::InvalidArgumentError(absl::StrCat(name, " ", path, ": ", error.message()));
  }
  return absolute.lexically_normal().string();
}

absl::StatusOr<absl::Duration> ParseDrainTimeout(const std::string& text) {
  absl::Duration duration;
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &duration)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--drain-timeout '", text, "': expected a duration such as 30s or 2m"));
  }
  if (duration < absl::Seconds(1) || duration > absl::Hours(24)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--drain-timeout is ", text, "; expected 1s to 24h"));
  }
  return duration;
}

absl::StatusOr<ServerConfig> Check(RawSettings raw) {
  ServerConfig& config = raw.config;
  VIT_ASSIGN_OR_RETURN(config.state_dir, AbsoluteFolder("--state-dir", config.state_dir));
  for (std::string& root : config.data_roots) {
    VIT_ASSIGN_OR_RETURN(root, AbsoluteFolder("--data-root", root));
    std::error_code error;
    if (!std::filesystem::is_directory(root, error)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--data-root ", root, ": ", error ? error.message() : "not a folder"));
    }
  }
  VIT_RETURN_IF_ERROR(Annotate(ParseListenAddressOrSocket(config.listen).status(), "--listen"));
  VIT_RETURN_IF_ERROR(
      Annotate(ParseListenAddress(config.metrics_listen).status(), "--metrics-listen"));
  // Its form alone: whether there is such a device is looked up at start.
  const absl::Status device = Device::Parse(config.device).status();
  if (absl::IsInvalidArgument(device)) return Annotate(device, "--device");
  VIT_RETURN_IF_ERROR(CheckRange("--threads", config.threads, 0, 4096));
  VIT_RETURN_IF_ERROR(CheckRange("--loader-threads", config.loader_threads, 0, 4096));
  VIT_RETURN_IF_ERROR(CheckRange("--max-queued-runs", config.max_queued_runs, 1, 100'000));
  VIT_RETURN_IF_ERROR(CheckRange("--max-image-bytes", config.max_image_bytes, 1, int64_t{1} << 30));
  VIT_RETURN_IF_ERROR(
      CheckRange("--max-image-pixels", config.max_image_pixels, 1, int64_t{1} << 32));
  VIT_ASSIGN_OR_RETURN(config.drain_timeout, ParseDrainTimeout(raw.drain_timeout));
  VIT_ASSIGN_OR_RETURN(config.log_format, ParseLogFormat(raw.log_format));
  VIT_ASSIGN_OR_RETURN(config.log_level, ParseLogLevel(raw.log_level));
  return config;
}

}  // namespace

absl::StatusOr<std::variant<ServerConfig, PrintAndExit>> ParseServerConfig(
    int argc, const char* const* argv, const Environment& environment) {
  RawSettings raw;
  raw.config.state_dir = DefaultStateDir(environment);
  CLI::App app(kDescription, "vitd");
  app.get_formatter()->column_width(46);
  app.set_help_flag("-h,--help", "Show this and exit")->group("General");
  const std::string version =
      absl::StrCat("vitd ", VIT_VERSION, " (LibTorch ", TorchVersion(), ")");
  app.set_version_flag("--version", version, "Show the version and exit")->group("General");
  AddOptions(&app, &raw);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return PrintAndExit{app.help()};
  } catch (const CLI::CallForVersion&) {
    return PrintAndExit{version + "\n"};
  } catch (const CLI::Error& e) {
    return absl::InvalidArgumentError(absl::StrCat(e.what(), "; see vitd --help"));
  }
  VIT_RETURN_IF_ERROR(ApplyEnvironment(environment, &app));
  if (!raw.config_file.empty()) VIT_RETURN_IF_ERROR(ApplyFile(raw.config_file, &app));
  VIT_ASSIGN_OR_RETURN(ServerConfig config, Check(std::move(raw)));
  return config;
}

}  // namespace vit
