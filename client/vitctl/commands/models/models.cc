// models, import, publish, load, unload: the repository.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/spec_options.h"
#include "client/vitctl/view/model_text.h"
#include "client/vitctl/view/table.h"
#include "client/vitctl/view/text.h"
#include "proto/time.h"

namespace vit {
namespace {

using ::vit::v1::ModelVersion;

void PrintVersions(const Session& session, const vit::v1::ListModelsResponse& response) {
  using Align = Table::Align;
  Table table({{"MODEL"},
               {"PARAMETERS", Align::kRight, 2},
               {"CLASSES", Align::kRight, 1},
               {"INPUT", Align::kRight, 3},
               {"ACCURACY", Align::kRight},
               {"CREATED", Align::kLeft, 1},
               {"LOADED", Align::kLeft, 2},
               {"ORIGIN", Align::kLeft, 0, 12, /*keep_end=*/true}});
  for (const ModelVersion& model : response.models()) {
    table.AddRow(
        {Table::Cell(ModelName(model), Style::kBold), FormatLarge(model.parameter_count()),
         model.model().num_classes() == 0 ? "none" : FormatCount(model.model().num_classes()),
         absl::StrCat(model.model().image_size()),
         model.has_accuracy() ? FormatPercent(model.accuracy()) : "-",
         FormatAgo(absl::Now() - FromProto(model.create_time())), model.loaded() ? "yes" : "no",
         Printable(model.origin())});
  }
  const Terminal& terminal = session.terminal();
  session.out() << table.Render(terminal.columns(), terminal.color, terminal.utf8);
}

int ShowModels(Session& session, const std::string& model) {
  auto client = session.Client();
  if (!client.ok()) return session.Fail(client.status());
  vit::v1::ListModelsRequest request;
  request.set_model(model);
  const auto response = (*client)->ListModels(request);
  if (!response.ok()) return session.Fail(response.status());
  const Terminal& terminal = session.terminal();
  if (session.json()) {
    session.PrintJson(*response);
  } else if (response->models().empty()) {
    session.err() << "no models yet; publish a run with: "
                  << session.CommandLine("publish RUN --as NAME") << std::endl;
  } else if (response->models_size() == 1 && !model.empty()) {
    session.out() << RenderFields(ModelFields(response->models(0)), terminal.columns(),
                                  terminal.color, terminal.utf8);
  } else {
    PrintVersions(session, *response);
  }
  return kExitOk;
}

// Describes a model in one line.
std::string Summary(const ModelVersion& model) {
  const int classes = model.model().num_classes();
  return absl::StrCat(FormatLarge(model.parameter_count()), " parameters, ",
                      classes == 0 ? "no head" : absl::StrCat(FormatCount(classes), " classes"),
                      ", ", PrecisionText(model), ", ", FormatBytes(model.size_bytes()));
}

// A daemon's choice for an empty text.
vit::v1::PrecisionChoice PrecisionNamed(const std::string& text) {
  if (text == "float32") return vit::v1::PRECISION_CHOICE_FLOAT32;
  if (text == "bfloat16") return vit::v1::PRECISION_CHOICE_BFLOAT16;
  if (text == "auto") return vit::v1::PRECISION_CHOICE_AUTO;
  return vit::v1::PRECISION_CHOICE_UNSPECIFIED;
}

// `otherwise`: what the model is served in without the option.
void AddPrecisionOption(CLI::App* command, const std::string& otherwise, std::string* precision) {
  command->add_option("--precision", *precision, "float32, bfloat16, auto; default: " + otherwise)
      ->type_name("PRECISION")
      ->check(CLI::IsMember({"float32", "bfloat16", "auto"}).description(""));
}

struct PublishOptions {
  std::string run, name, precision;
};

int Publish(Session& session, const PublishOptions& options) {
  auto client = session.Client(absl::Minutes(2));
  if (!client.ok()) return session.Fail(client.status());
  vit::v1::PublishRunRequest request;
  request.set_run(options.run);
  request.set_name(options.name);
  request.set_precision(PrecisionNamed(options.precision));
  const auto response = (*client)->PublishRun(request);
  if (!response.ok()) return session.Fail(response.status());
  if (session.json()) {
    session.PrintJson(*response);
    return kExitOk;
  }
  const ModelVersion& model = response->model();
  session.out() << "published " << Printable(model.origin()) << " as " << ModelName(model) << ": "
                << Summary(model) << "\nclassify with: "
                << session.CommandLine(absl::StrCat("classify --model ", model.name(), " FILE"))
                << "\n";
  return kExitOk;
}

struct ImportOptions {
  std::string path;
  std::string name;
  std::string labels;
  std::string prefix;
  std::string weights;
  std::string precision;
  std::vector<std::string> set;
};

// Reads one label per line.
absl::StatusOr<std::vector<std::string>> ReadLabels(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat("--labels ", path, ": cannot be read"));
  std::vector<std::string> labels;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    labels.push_back(line);
  }
  return labels;
}

absl::StatusOr<vit::v1::ImportModelRequest> ImportRequest(const Session& session,
                                                          const ImportOptions& options) {
  vit::v1::ImportModelRequest request;
  auto spec =
      BuildSpec({.spec_file = "", .data = "", .init = "", .set = options.set}, *session.io().in);
  if (!spec.ok()) return spec.status();
  vit::v1::TrainingSpec others = *spec;
  others.clear_model();
  others.clear_data();
  if (others.ByteSizeLong() > 0) {
    return absl::InvalidArgumentError("--set: import takes only fields of model and data");
  }
  spec->set_init(options.path);
  const char* home = std::getenv("HOME");
  std::error_code error;
  const absl::Status resolved =
      ResolvePaths(IsLoopback(session.server), std::filesystem::current_path(error),
                   home == nullptr ? "" : home, &*spec);
  if (!resolved.ok()) return resolved;
  request.set_path(spec->init());
  request.set_name(options.name);
  *request.mutable_model() = spec->model();
  *request.mutable_preprocessing() = spec->data();
  request.set_prefix(options.prefix);
  request.set_precision(PrecisionNamed(options.precision));
  if (options.weights == "raw") request.set_weights(vit::v1::WEIGHTS_CHOICE_RAW);
  if (options.weights == "averaged") request.set_weights(vit::v1::WEIGHTS_CHOICE_AVERAGED);
  if (!options.labels.empty()) {
    auto labels = ReadLabels(options.labels);
    if (!labels.ok()) return labels.status();
    request.mutable_labels()->Assign(labels->begin(), labels->end());
  }
  return request;
}

int Import(Session& session, const ImportOptions& options) {
  auto request = ImportRequest(session, options);
  if (!request.ok()) return session.Fail(request.status());
  auto client = session.Client(absl::Minutes(5));
  if (!client.ok()) return session.Fail(client.status());
  const auto response = (*client)->ImportModel(*request);
  if (!response.ok()) return session.Fail(response.status());
  if (session.json()) {
    session.PrintJson(*response);
    return kExitOk;
  }
  const ModelVersion& model = response->model();
  session.out() << "imported " << Printable(model.origin()) << " as " << ModelName(model) << ": "
                << Printable(model.source()) << " weights, " << Summary(model) << "\n";
  for (const std::string& note : response->notes()) {
    session.out() << "  " << Printable(note) << "\n";
  }
  return kExitOk;
}

int Load(Session& session, const std::string& model) {
  auto client = session.Client(absl::Minutes(2));
  if (!client.ok()) return session.Fail(client.status());
  vit::v1::LoadModelRequest request;
  request.set_model(model);
  const auto response = (*client)->LoadModel(request);
  if (!response.ok()) return session.Fail(response.status());
  if (session.json()) {
    session.PrintJson(*response);
  } else {
    session.out() << "loaded " << Printable(model) << "\n";
  }
  return kExitOk;
}

int Unload(Session& session, const std::string& model) {
  auto client = session.Client();
  if (!client.ok()) return session.Fail(client.status());
  vit::v1::UnloadModelRequest request;
  request.set_model(model);
  const auto response = (*client)->UnloadModel(request);
  if (!response.ok()) return session.Fail(response.status());
  if (session.json()) {
    session.PrintJson(*response);
  } else {
    session.out() << "unloaded " << Printable(model) << "; the next request reads it again\n";
  }
  return kExitOk;
}

}  // namespace

void AddModels(CLI::App& app, Session& session) {
  auto model = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("models", "List the repository's models, or show one");
  command->add_option("MODEL", *model, "NAME or NAME@VERSION")->type_name("NAME");
  command->footer("Remove one with: vitctl rm model:NAME or model:NAME@VERSION\n");
  command->callback([&session, model] {
    session.action = [&session, model] { return ShowModels(session, *model); };
  });
}

void AddPublish(CLI::App& app, Session& session) {
  auto options = std::make_shared<PublishOptions>();
  CLI::App* command =
      app.add_subcommand("publish", "Put a run's best checkpoint into the repository");
  command->add_option("RUN", options->run, "An id, the start of one, or a name")
      ->type_name("RUN")
      ->required();
  command->add_option("--as", options->name, "The model's name; adds a version if it exists")
      ->type_name("NAME")
      ->required();
  AddPrecisionOption(command, "as evaluated", &options->precision);
  command->callback([&session, options] {
    session.action = [&session, options] { return Publish(session, *options); };
  });
}

void AddImport(CLI::App& app, Session& session) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App* command =
      app.add_subcommand("import", "Put another program's weights into the repository");
  command->add_option("PATH", options->path, "A file of weights, or a folder with config.json")
      ->type_name("PATH")
      ->required();
  command->add_option("--name", options->name, "The model's name; adds a version if it exists")
      ->type_name("NAME")
      ->required();
  command->add_option("--labels", options->labels, "The classes' names, one per line, in order")
      ->type_name("FILE");
  command
      ->add_option("--prefix", options->prefix, "The names' prefix, if the file has several models")
      ->type_name("PREFIX");
  command
      ->add_option("--weights", options->weights,
                   "Which, if the file holds both; default: averaged")
      ->type_name("raw|averaged")
      ->check(CLI::IsMember({"raw", "averaged"}).description(""));
  AddPrecisionOption(command, "own or float32", &options->precision);
  command->add_option("--set", options->set, "A field the file does not give; may be repeated")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false);
  command->footer(
      R"(Reads safetensors (shards too), PyTorch's .pth and .bin, and NumPy's .npz, with
timm's, Hugging Face's, torchvision's or Google's names. The path is the
daemon's.

  vitctl import vit_small.safetensors --name small --set model.num_heads=6 \
      --set data.eval.crop_pct=0.9
)");
  command->callback([&session, options] {
    session.action = [&session, options] { return Import(session, *options); };
  });
}

void AddLoad(CLI::App& app, Session& session) {
  auto model = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("load", "Read a model into memory before its first use");
  command->add_option("MODEL", *model, "NAME, NAME@VERSION, run:ID or latest")
      ->type_name("MODEL")
      ->required();
  command->callback(
      [&session, model] { session.action = [&session, model] { return Load(session, *model); }; });
}

void AddUnload(CLI::App& app, Session& session) {
  auto model = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("unload", "Free a model's memory");
  command->add_option("MODEL", *model, "NAME, NAME@VERSION, run:ID or latest")
      ->type_name("MODEL")
      ->required();
  command->callback([&session, model] {
    session.action = [&session, model] { return Unload(session, *model); };
  });
}

}  // namespace vit
