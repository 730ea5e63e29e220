#include "server/config.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <sstream>
#include <type_traits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/compute/device.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "proto/field_names.h"
#include "server/net/listen_address.h"

namespace vit {
namespace {

constexpr char kDescription[] =
    "vitd trains Vision Transformers on this machine's accelerator and serves them meanwhile.\n"
    "Every option can also be set in the --config file (without the dashes) or in an environment\n"
    "variable (VITD_STATE_DIR for --state-dir). A flag overrides a variable, a variable the file.";

// The options as given, before they are checked and converted.
struct RawSettings {
  ServerConfig config;
  std::string config_file;
  std::string drain_timeout = "30s", max_queue_delay = "0s", inference_timeout = "2m";
  std::string serving_objective = "none";
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

// Return what is wrong with a value; empty if nothing is.
std::string CheckWholeNumber(const std::string& text) {
  int64_t value = 0;
  return absl::SimpleAtoi(text, &value) ? "" : absl::StrCat("'", text, "' is not a whole number");
}
std::string CheckBool(const std::string& text) {
  for (const char* known : {"true", "false", "yes", "no", "on", "off", "1", "0"}) {
    if (absl::EqualsIgnoreCase(text, known)) return "";
  }
  return absl::StrCat("'", text, "' is not true or false");
}

// Adds an option whose help shows its default.
template <typename Field>
CLI::Option* AddOption(CLI::App* app, const char* group, const char* name, Field& field,
                       const char* type, const char* help) {
  CLI::Option* option = app->add_option(name, field, help)->type_name(type)->group(group);
  if constexpr (std::is_same_v<Field, bool>) {
    option->check(CheckBool);
  } else if constexpr (std::is_integral_v<Field>) {
    option->check(CheckWholeNumber);
  }
  return option->capture_default_str();
}

CLI::AsSizeValue Size() {
  CLI::AsSizeValue size(/*kb_is_1000=*/true);
  size.description("");  // its default is a list of units
  return size;
}

// Limits and inference.
void AddServingOptions(CLI::App* app, RawSettings* raw) {
  ServerConfig& config = raw->config;
  const auto limit = [&](auto&&... option) { return AddOption(app, "Limits", option...); };
  const auto inference = [&](auto&&... option) { return AddOption(app, "Inference", option...); };
  limit("--max-image-bytes", config.max_image_bytes, "SIZE",
        "Largest encoded image that is accepted (1000, 500kB, 32MiB)")
      ->transform(Size());
  limit("--max-image-pixels", config.max_image_pixels, "COUNT",
        "Most pixels of an image, read from its header before it is decoded");
  limit("--max-queued-runs", config.max_queued_runs, "COUNT", "Runs that may wait for the device");
  limit("--max-queued-images", config.max_queued_images, "COUNT",
        "Images of calls that may wait for their answer");
  limit("--max-queued-images-per-model", config.max_queued_images_per_model, "COUNT",
        "The same for one model");
  limit("--max-queued-bytes", config.max_queued_bytes, "SIZE", "Bytes of the images that wait")
      ->transform(Size());
  limit("--max-loaded-models", config.max_loaded_models, "COUNT",
        "Models in memory; the one not used for longest goes");
  inference("--reduced-jpeg-decoding", config.reduced_jpeg_decoding, "BOOL",
            "Whether calls' large JPEGs are decoded at 1/2, 1/4 or 1/8 of their size");
  inference("--max-batch-size", config.max_batch_size, "COUNT",
            "Images of a model that are computed together");
  inference("--max-queue-delay", raw->max_queue_delay, "DURATION",
            "How long an image waits for others while nothing is computed (0s, 5ms)");
  inference("--serving-objective", raw->serving_objective, "DURATION",
            "p99 of queue and compute that training gives way for (50ms), or none");
  inference("--inference-timeout", raw->inference_timeout, "DURATION",
            "Deadline of calls that have none of their own");
}

void AddOptions(CLI::App* app, RawSettings* raw) {
  ServerConfig& config = raw->config;
  const auto add = [&](auto&&... option) { return AddOption(app, option...); };
  add("Storage", "--state-dir", config.state_dir, "DIR",
      "Folder of runs, checkpoints and the database");
  add("Storage", "--data-root", config.data_roots, "DIR",
      "Folder that training data and weights may be read from; repeatable")
      ->default_str("");
  add("Network", "--listen", config.listen, "HOST:PORT",
      "Where gRPC listens; port 0 picks a free one, unix:/PATH is a socket");
  add("Network", "--metrics-listen", config.metrics_listen, "HOST:PORT",
      "Where http://HOST:PORT/metrics is served");
  AddServingOptions(app, raw);
  add("Compute", "--device", config.device, "DEVICE", "auto, cpu, cuda or cuda:N");
  add("Compute", "--threads", config.threads, "COUNT",
      "Compute threads; 0 means one per processor");
  add("Compute", "--loader-threads", config.loader_threads, "COUNT",
      "Threads that load training data, for every run; 0 uses each run's spec");
  add("Life cycle", "--drain-timeout", raw->drain_timeout, "DURATION",
      "How long SIGTERM waits for calls in flight and a checkpoint (30s, 2m)");
  add("Life cycle", "--resume-interrupted", config.resume_interrupted, "BOOL",
      "Whether runs that an earlier vitd left unfinished continue at start")
      ->default_str("true");
  add("Logging", "--log-format", raw->log_format, "FORMAT", "text or json, on standard error");
  add("Logging", "--log-level", raw->log_level, "LEVEL", "debug, info, warning or error");
  add("General", "--config", raw->config_file, "FILE", "File of settings (TOML or INI)");
}

// Sets `option` to `inputs` unless it already has a value. Messages call the place `origin`.
absl::Status SetOption(CLI::Option* option, const std::vector<std::string>& inputs,
                       absl::string_view origin) {
  if (option->count() > 0) return absl::OkStatus();
  try {
    option->add_result(inputs);
    option->run_callback();
  } catch (const CLI::Error& e) {
    const std::string name = absl::StrCat(option->get_name(), ": ");
    return absl::InvalidArgumentError(
        absl::StrCat(origin, ": ", absl::StripPrefix(e.what(), name)));
  }
  return absl::OkStatus();
}

// Returns the options that a user can set, so not --help and --version.
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
    // Separated like PATH.
    if (option->check_lname("data-root")) inputs = absl::StrSplit(value, ':', absl::SkipEmpty());
    VIT_RETURN_IF_ERROR(SetOption(option, inputs, name));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadConfigFile(const std::string& path) {
  constexpr int64_t kMaxBytes = 1 << 20;
  std::error_code error;
  // Opening a pipe could wait forever.
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--config ", path, ": not a regular file; expected a file of settings"));
  }
  absl::StatusOr<std::string> content = ReadFile(path, kMaxBytes);
  if (content.ok()) return content;
  return absl::InvalidArgumentError(absl::StrCat("--config: ", content.status().message()));
}

// The parser takes away only quotes that come in pairs.
absl::Status CheckQuotes(const std::vector<std::string>& values) {
  for (const std::string& value : values) {
    if (absl::StrContains(value, "\"") || absl::StartsWith(value, "'")) {
      return absl::InvalidArgumentError(absl::StrCat(value, " has a quote that is not closed"));
    }
  }
  return absl::OkStatus();
}

// The names of the settings that a file may have.
std::vector<std::string> SettingNames(CLI::App* app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : Settings(app)) names.push_back(option->get_lnames()[0]);
  return names;
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
  for (const CLI::ConfigItem& item : items) {
    if (!item.parents.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": section [", item.parents[0], "] is unknown; put settings outside of sections"));
    }
    const std::string name = absl::StrReplaceAll(item.name, {{"_", "-"}});
    CLI::Option* option = app->get_option_no_throw("--" + name);
    if (option == nullptr || option->get_items_expected() == 0 || name == "config") {
      const std::string nearest = NearestName(name, SettingNames(app));
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": unknown setting '", item.name, "'",
                       nearest.empty() ? "" : absl::StrCat("; did you mean '", nearest, "'?")));
    }
    const std::string origin = absl::StrCat(path, ": ", item.name);
    VIT_RETURN_IF_ERROR(Annotate(CheckQuotes(item.inputs), origin));
    VIT_RETURN_IF_ERROR(SetOption(option, item.inputs, origin));
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

// `text`: a duration, or a number of seconds.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view name, const std::string& text,
                                             absl::Duration low, absl::Duration high) {
  absl::Duration duration;
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &duration)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " '", text, "': expected a duration such as 20ms, 30s or 2m"));
  }
  if (duration < low || duration > high) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is ", text, "; expected ",
                                                   absl::FormatDuration(low), " to ",
                                                   absl::FormatDuration(high)));
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
  // Checks the form only; whether the device exists is checked at start.
  const absl::Status device = Device::Parse(config.device).status();
  if (absl::IsInvalidArgument(device)) return Annotate(device, "--device");
  VIT_RETURN_IF_ERROR(CheckRange("--threads", config.threads, 0, 4096));
  VIT_RETURN_IF_ERROR(CheckRange("--loader-threads", config.loader_threads, 0, 4096));
  VIT_RETURN_IF_ERROR(CheckRange("--max-queued-runs", config.max_queued_runs, 1, 100'000));
  VIT_RETURN_IF_ERROR(CheckRange("--max-image-bytes", config.max_image_bytes, 1, int64_t{1} << 30));
  VIT_RETURN_IF_ERROR(
      CheckRange("--max-image-pixels", config.max_image_pixels, 1, int64_t{1} << 32));
  VIT_RETURN_IF_ERROR(CheckRange("--max-queued-images", config.max_queued_images, 1, 1'000'000));
  VIT_RETURN_IF_ERROR(CheckRange("--max-queued-images-per-model",
                                 config.max_queued_images_per_model, 1, 1'000'000));
  VIT_RETURN_IF_ERROR(
      CheckRange("--max-queued-bytes", config.max_queued_bytes, 1, int64_t{1} << 40));
  VIT_RETURN_IF_ERROR(CheckRange("--max-loaded-models", config.max_loaded_models, 1, 1000));
  VIT_RETURN_IF_ERROR(CheckRange("--max-batch-size", config.max_batch_size, 1, 4096));
  VIT_ASSIGN_OR_RETURN(config.drain_timeout, ParseDuration("--drain-timeout", raw.drain_timeout,
                                                           absl::Seconds(1), absl::Hours(24)));
  VIT_ASSIGN_OR_RETURN(config.max_queue_delay,
                       ParseDuration("--max-queue-delay", raw.max_queue_delay, absl::ZeroDuration(),
                                     absl::Seconds(10)));
  if (raw.serving_objective != "none") {
    VIT_ASSIGN_OR_RETURN(config.serving_objective,
                         ParseDuration("--serving-objective", raw.serving_objective,
                                       absl::Milliseconds(1), absl::Hours(1)));
  }
  VIT_ASSIGN_OR_RETURN(config.inference_timeout,
                       ParseDuration("--inference-timeout", raw.inference_timeout,
                                     absl::Milliseconds(1), absl::Hours(24)));
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
  app.set_help_flag("-h,--help", "Show this help and exit")->group("General");
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
  } catch (const CLI::ExtrasError&) {
    const std::string extra = app.remaining().front();
    const std::string nearest =
        NearestName(absl::StripPrefix(extra.substr(0, extra.find('=')), "--"), SettingNames(&app));
    return absl::InvalidArgumentError(
        absl::StrCat("unknown option ", extra,
                     nearest.empty() ? "" : absl::StrCat("; did you mean --", nearest, "?"),
                     "; see vitd --help"));
  } catch (const CLI::Error& e) {
    return absl::InvalidArgumentError(absl::StrCat(e.what(), "; see vitd --help"));
  }
  VIT_RETURN_IF_ERROR(ApplyEnvironment(environment, &app));
  if (!raw.config_file.empty()) VIT_RETURN_IF_ERROR(ApplyFile(raw.config_file, &app));
  VIT_ASSIGN_OR_RETURN(ServerConfig config, Check(std::move(raw)));
  return config;
}

}  // namespace vit
