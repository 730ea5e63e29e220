// The commands of vitctl, one file each. Each function adds its command to `app`; the parsed
// command stores its action in `session.action`.
//
// An option's or positional's type name says what completion offers for it: RUN, MODEL, INIT,
// PRESET, SOURCE, STATE, FILE, PATH, FIELD, FIELD=VALUE and so on (completer.cc).
#ifndef VIT_CLIENT_VITCTL_COMMANDS_COMMANDS_H_
#define VIT_CLIENT_VITCTL_COMMANDS_COMMANDS_H_

#include "client/vitctl/session.h"

namespace CLI {
class App;
}

namespace vit {

void AddStartRun(CLI::App& app, Session& session);
void AddPreviewData(CLI::App& app, Session& session);
void AddStatus(CLI::App& app, Session& session);
void AddWatch(CLI::App& app, Session& session);
void AddRuns(CLI::App& app, Session& session);
void AddStop(CLI::App& app, Session& session);
void AddResume(CLI::App& app, Session& session);
void AddRm(CLI::App& app, Session& session);
void AddHistory(CLI::App& app, Session& session);
void AddEvaluation(CLI::App& app, Session& session);
void AddPresets(CLI::App& app, Session& session);
void AddFields(CLI::App& app, Session& session);
void AddClassify(CLI::App& app, Session& session);
void AddBench(CLI::App& app, Session& session);
void AddEmbed(CLI::App& app, Session& session);
void AddExplain(CLI::App& app, Session& session);
void AddModels(CLI::App& app, Session& session);
void AddPublish(CLI::App& app, Session& session);
void AddImport(CLI::App& app, Session& session);
void AddExport(CLI::App& app, Session& session);
void AddInspectData(CLI::App& app, Session& session);
void AddPackData(CLI::App& app, Session& session);
void AddLoad(CLI::App& app, Session& session);
void AddUnload(CLI::App& app, Session& session);
void AddHealth(CLI::App& app, Session& session);
void AddCompletion(CLI::App& app, Session& session);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_COMMANDS_COMMANDS_H_
