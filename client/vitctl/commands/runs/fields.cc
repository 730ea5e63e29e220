#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/view/field_text.h"
#include "client/vitctl/view/table.h"
#include "client/vitctl/view/text.h"
#include "proto/field_names.h"
#include "proto/schema.h"

namespace vit {
namespace {

nlohmann::json ToJson(const SpecField& field) {
  const vit::v1::FieldRule& rule = RuleOf(field.descriptor);
  nlohmann::json json = {{"path", field.path},
                         {"type", TypeText(field)},
                         {"description", CommentOf(field.descriptor)}};
  for (const auto& [key, text] : {std::pair("default", rule.default_()),
                                  {"derived", rule.derived()},
                                  {"unit", rule.unit()},
                                  {"needs", rule.needs()},
                                  {"choice", rule.choice()}}) {
    if (!text.empty()) json[key] = text;
  }
  if (rule.has_min()) json["min"] = rule.min();
  if (rule.has_above()) json["above"] = rule.above();
  if (rule.has_max()) json["max"] = rule.max();
  if (rule.has_below()) json["below"] = rule.below();
  for (const std::string& type : rule.only_for()) json["only_for"].push_back(type);
  if (const auto* values = field.descriptor->enum_type()) {
    for (int i = 1; i < values->value_count(); ++i) {
      json["values"].push_back({{"name", ShortEnumName(values->value(i))},
                                {"description", CommentOf(values->value(i))}});
    }
  }
  for (const SpecField& inner : FieldsIn(field)) json["fields"].push_back(ToJson(inner));
  return json;
}

void PrintTable(const Session& session, const std::vector<SpecField>& fields) {
  Table table({{"FIELD"},
               {"DEFAULT", Table::Align::kLeft, 0, 10},
               {"VALUES", Table::Align::kLeft, 2, 14},
               {"MEANING", Table::Align::kLeft, 1, 20}});
  for (const SpecField& field : fields) {
    table.AddRow({Table::Cell(field.descriptor->name(), Style::kBold), DefaultText(field),
                  LimitsText(field), SummaryText(field)});
  }
  const Terminal& terminal = session.terminal();
  session.out() << table.Render(terminal.columns(), terminal.color, terminal.utf8);
}

void PrintField(const Session& session, const SpecField& field) {
  const Terminal& terminal = session.terminal();
  const int width = terminal.columns() == 0 ? 100 : terminal.columns();
  session.out() << field.path << "\n";
  std::vector<std::pair<std::string, Table::Cell>> facts = {{"  type", TypeText(field)}};
  if (!DefaultText(field).empty()) facts.emplace_back("  default", DefaultText(field));
  if (!LimitsText(field).empty()) facts.emplace_back("  values", LimitsText(field));
  session.out() << RenderFields(facts, terminal.columns(), terminal.color, terminal.utf8);
  session.out() << "\n" << Wrap(CommentOf(field.descriptor), width, "  ");
  const auto* values = field.descriptor->enum_type();
  if (values != nullptr) session.out() << "\n";
  for (int i = 1; values != nullptr && i < values->value_count(); ++i) {
    session.out() << Wrap(
        absl::StrCat(ShortEnumName(values->value(i)),
                     CommentOf(values->value(i)).empty() ? "" : ": ", CommentOf(values->value(i))),
        width, "  ");
  }
  const std::vector<SpecField> inner = FieldsIn(field);
  if (inner.empty()) return;
  session.out() << "\n";
  PrintTable(session, inner);
}

int ShowFields(Session& session, const std::string& path, bool markdown) {
  if (markdown) {
    session.out() << FieldsMarkdown();
    return kExitOk;
  }
  if (path.empty()) {
    const std::vector<SpecField> fields = FieldsIn({});
    if (session.json()) {
      nlohmann::json json;
      for (const SpecField& field : fields) json["fields"].push_back(ToJson(field));
      session.out() << json.dump(1) << "\n";
    } else {
      PrintTable(session, fields);
    }
    return kExitOk;
  }
  const absl::StatusOr<SpecField> field = FindSpecField(path);
  if (!field.ok()) return session.Fail(field.status());
  if (session.json()) {
    session.out() << ToJson(*field).dump(1) << "\n";
  } else {
    PrintField(session, *field);
  }
  return kExitOk;
}

}  // namespace

void AddFields(CLI::App& app, Session& session) {
  auto path = std::make_shared<std::string>();
  auto markdown = std::make_shared<bool>(false);
  CLI::App* command =
      app.add_subcommand("fields", "Explain a spec's fields: meaning, default, values");
  command->add_option("PATH", *path, "Only this field or group, such as optimizer.beta1")
      ->type_name("FIELD");
  command->add_flag("--markdown", *markdown, "Print the whole reference in Markdown");
  command->footer("vitctl fields optimizer\nvitctl fields data.train.auto_augment");
  command->callback([&session, path, markdown] {
    session.action = [&session, path, markdown] { return ShowFields(session, *path, *markdown); };
  });
}

}  // namespace vit
