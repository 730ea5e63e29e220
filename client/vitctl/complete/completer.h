// Completion of a vitctl command line, from the tree of commands itself.
#ifndef VIT_CLIENT_VITCTL_COMPLETE_COMPLETER_H_
#define VIT_CLIENT_VITCTL_COMPLETE_COMPLETER_H_

#include <string>
#include <vector>

#include "client/vitctl/session.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace vit {

// Finds what can complete a command line that is still being written, which need not parse. The
// candidates for a value follow from its option's type name: runs, models and presets are requested
// from the daemon (that of --server if the line has one) within half a second; spec fields and
// states come from the protos.
class Completer {
 public:
  Completer(const CLI::App& app, Session& session) : app_(app), session_(session) {}

  // `words`: the command line after the program's name, the word to complete last (it may be
  // empty). Returns lines of "candidate" or "candidate<tab>description", and the directives
  // ":files" and ":nospace"; nothing if nothing fits.
  std::string Complete(const std::vector<std::string>& words);

 private:
  struct Candidate {
    std::string text;
    std::string description;
  };

  void AddCommands(const CLI::App& app);
  void AddOptions(const CLI::App& app);
  void AddValues(const CLI::App* command, const std::string& type_name, const std::string& word);
  // Adds the ids of runs; `names`: their names too. `only_active`: only runs that have not ended.
  void AddRuns(const std::string& prefix, bool names = false, bool only_active = false);
  void AddModels(const std::string& prefix);
  void AddPresets();
  // `end` follows the name of a field that holds a value.
  void AddFields(const std::string& word, const std::string& end);

  const CLI::App& app_;
  Session& session_;
  std::vector<Candidate> candidates_;
  bool files_ = false;
  bool no_space_ = false;
};

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_COMPLETE_COMPLETER_H_
