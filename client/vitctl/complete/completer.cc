#include "client/vitctl/complete/completer.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/vitctl/output_formats.h"
#include "client/vitctl/view/field_text.h"
#include "client/vitctl/view/run_text.h"
#include "google/protobuf/descriptor.h"
#include "proto/field_names.h"
#include "proto/schema.h"

namespace vit {
namespace {

constexpr absl::Duration kPatience = absl::Milliseconds(500);
constexpr int kMostRuns = 50;

bool TakesValue(const CLI::Option& option) { return option.get_expected_min() > 0; }

std::vector<std::string> NamesOf(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_lnames()) names.push_back(absl::StrCat("--", name));
  for (const std::string& name : option.get_snames()) names.push_back(absl::StrCat("-", name));
  return names;
}

const CLI::App* FindCommand(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == name) return command;
  }
  return nullptr;
}

// The option called `word` of the command or of vitctl itself.
const CLI::Option* FindOption(const CLI::App& app, const CLI::App* command,
                              const std::string& word) {
  for (const CLI::App* owner : {command, &app}) {
    if (owner == nullptr) continue;
    for (const CLI::Option* option : owner->get_options()) {
      const auto names = NamesOf(*option);
      if (std::find(names.begin(), names.end(), word) != names.end()) return option;
    }
  }
  return nullptr;
}

// The positional that takes the argument after `taken` others.
const CLI::Option* PositionalAt(const CLI::App& command, int taken) {
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional()) continue;
    if (taken < option->get_expected_max()) return option;
    taken -= option->get_expected_max();
  }
  return nullptr;
}

}  // namespace

std::string Completer::Complete(const std::vector<std::string>& words) {
  const std::string word = words.empty() ? "" : words.back();
  const CLI::App* command = nullptr;
  const CLI::Option* pending = nullptr;  // an option that still waits for its value
  int positionals = 0;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if (pending != nullptr) {
      if (pending->check_lname("server")) session_.server = words[i];
      pending = nullptr;
    } else if (absl::StartsWith(words[i], "-") && words[i] != "-") {
      const CLI::Option* option = FindOption(app_, command, words[i]);
      if (option != nullptr && TakesValue(*option)) pending = option;
      if (absl::StartsWith(words[i], "--server=")) session_.server = words[i].substr(9);
    } else if (command == nullptr) {
      command = FindCommand(app_, words[i]);
      if (command == nullptr) return "";
    } else {
      ++positionals;
    }
  }

  std::string typed = word;  // what candidates have to start with
  std::string before;        // what is put in front of each: "--option="
  if (pending != nullptr) {
    AddValues(command, pending->get_type_name(), word);
  } else if (const size_t equals = word.find('=');
             absl::StartsWith(word, "--") && equals != std::string::npos) {
    const CLI::Option* option = FindOption(app_, command, word.substr(0, equals));
    if (option == nullptr) return "";
    before = word.substr(0, equals + 1);
    typed = word.substr(equals + 1);
    AddValues(command, option->get_type_name(), typed);
  } else if (absl::StartsWith(word, "-")) {
    if (command != nullptr) AddOptions(*command);
    AddOptions(app_);
  } else if (command == nullptr) {
    AddCommands(app_);
  } else if (const CLI::Option* option = PositionalAt(*command, positionals)) {
    AddValues(command, option->get_type_name(), word);
  }

  std::string out;
  for (const Candidate& candidate : candidates_) {
    if (!absl::StartsWith(candidate.text, typed)) continue;
    absl::StrAppend(
        &out, before, candidate.text,
        candidate.description.empty() ? "" : absl::StrCat("\t", Printable(candidate.description)),
        "\n");
  }
  if (no_space_) absl::StrAppend(&out, ":nospace\n");
  if (files_) absl::StrAppend(&out, ":files\n");
  return out;
}

void Completer::AddCommands(const CLI::App& app) {
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    candidates_.push_back({command->get_name(), command->get_description()});
  }
}

void Completer::AddOptions(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      candidates_.push_back({absl::StrCat("--", name), option->get_description()});
    }
  }
}

void Completer::AddValues(const CLI::App* command, const std::string& type_name,
                          const std::string& word) {
  if (type_name == "RUN") {
    AddRuns("", /*names=*/!word.empty(),
            /*only_active=*/command != nullptr && command->get_name() == "stop");
  } else if (type_name == "NAME") {
    AddModels("");
  } else if (type_name == "MODEL") {
    candidates_.push_back({"latest", "the most recently started run that has a checkpoint"});
    AddRuns("run:");
    AddModels("");
  } else if (type_name == "INIT") {
    AddRuns("run:");
    AddModels("model:");
    files_ = true;
  } else if (type_name == "PRESET") {
    AddPresets();
  } else if (type_name == "FIELD=VALUE") {
    AddFields(word, "=");
  } else if (type_name == "FIELD") {
    AddFields(word, "");
  } else if (type_name == "SOURCE") {
    candidates_ = {{"shapes:", "generated images of 10 shapes"},
                   {"shapes:hard", "any rotation, any colours"},
                   {"folder:", "train/CLASS/* and val/CLASS/*"},
                   {"csv:", "a table: file,label,split"},
                   {"wds:", "tar archives in WebDataset's layout"},
                   {"packed:", "a file that pack-data wrote"},
                   {"cifar10:", "the original binary files"},
                   {"cifar100:", "the original binary files"}};
    no_space_ = true;
    files_ = absl::StrContains(word, ':');
  } else if (type_name == "STATE") {
    const auto* type = vit::v1::RunState_descriptor();
    for (int i = 1; i < type->value_count(); ++i) {
      candidates_.push_back({ShortEnumName(type->value(i)), ""});
    }
  } else if (type_name == "FORMAT") {
    for (const std::string& format : OutputFormats(command == nullptr ? "" : command->get_name())) {
      candidates_.push_back({format, ""});
    }
  } else if (type_name == "PRIORITY") {
    candidates_ = {{"low", ""}, {"normal", ""}, {"high", ""}};
  } else if (type_name == "ARRIVALS") {
    candidates_ = {{"poisson", ""}, {"constant", ""}};
  } else if (type_name == "PROGRAM") {
    candidates_ = {{"timm", ""}, {"hf", ""}, {"torchvision", ""}, {"onnx", ""}};
  } else if (type_name == "SPLIT") {
    candidates_ = {{"train", ""}, {"validation", ""}};
  } else if (type_name == "SHELL") {
    candidates_ = {{"bash", ""}, {"zsh", ""}, {"fish", ""}};
  } else if (type_name == "FILE" || type_name == "PATH") {
    files_ = true;
  }
}

void Completer::AddRuns(const std::string& prefix, bool names, bool only_active) {
  const auto client = session_.Client(kPatience);
  if (!client.ok()) return;
  vit::v1::ListRunsRequest request;
  request.set_page_size(kMostRuns);
  if (only_active) {
    request.add_states(vit::v1::RUN_STATE_QUEUED);
    request.add_states(vit::v1::RUN_STATE_RUNNING);
  }
  const auto response = (*client)->ListRuns(request);
  if (!response.ok()) return;
  for (const vit::v1::Run& run : response->runs()) {
    candidates_.push_back(
        {prefix + run.id(),
         absl::StrCat(StateName(run.state()), run.name().empty() ? "" : " ", run.name())});
    if (names && !run.name().empty()) {
      candidates_.push_back({run.name(), absl::StrCat(StateName(run.state()), " ", run.id())});
    }
  }
}

void Completer::AddModels(const std::string& prefix) {
  const auto client = session_.Client(kPatience);
  if (!client.ok()) return;
  const auto response = (*client)->ListModels({});
  if (!response.ok()) return;
  for (const vit::v1::ModelVersion& model : response->models()) {
    // The newest version of each comes first.
    const std::string text = prefix + model.name();
    if (candidates_.empty() || candidates_.back().text != text) {
      candidates_.push_back({text, model.origin()});
    }
  }
}

void Completer::AddPresets() {
  const auto client = session_.Client(kPatience);
  if (!client.ok()) return;
  const auto response = (*client)->ListPresets({});
  if (!response.ok()) return;
  for (const vit::v1::Preset& preset : response->presets()) {
    candidates_.push_back({preset.name(), preset.description()});
  }
}

void Completer::AddFields(const std::string& word, const std::string& end) {
  // Follows the path as far as it is complete; then offers the fields there, or the values of the
  // field that it names.
  const std::string path = word.substr(0, word.find('='));
  SpecField group;
  if (absl::StrContains(path, '.')) {
    const absl::StatusOr<SpecField> found = FindSpecField(path.substr(0, path.rfind('.')));
    if (!found.ok() || found->descriptor->is_repeated()) return;
    group = *found;
  }
  if (absl::StrContains(word, '=')) {
    const absl::StatusOr<SpecField> field = FindSpecField(path);
    if (!field.ok()) return;
    if (field->descriptor->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_BOOL) {
      candidates_ = {{path + "=true", ""}, {path + "=false", ""}};
    }
    const auto* values = field->descriptor->enum_type();
    for (int i = 1; values != nullptr && i < values->value_count(); ++i) {
      candidates_.push_back(
          {absl::StrCat(path, "=", ShortEnumName(values->value(i))), CommentOf(values->value(i))});
    }
    return;
  }
  no_space_ = true;
  for (const SpecField& field : FieldsIn(group)) {
    const bool has_fields =
        field.descriptor->message_type() != nullptr && !field.descriptor->is_repeated();
    candidates_.push_back({absl::StrCat(field.path, has_fields ? "." : end), SummaryText(field)});
  }
}

}  // namespace vit
