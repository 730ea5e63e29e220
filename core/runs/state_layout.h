// The layout of the state directory.
#ifndef VIT_CORE_RUNS_STATE_LAYOUT_H_
#define VIT_CORE_RUNS_STATE_LAYOUT_H_

#include <filesystem>
#include <string>
#include <utility>

namespace vit {

// The one place that names the files of a state directory:
//
//   vitd.lock, vitd.ports        the daemon's lock, and the ports that it bound
//   runs.db                      runs and their history (SQLite)
//   models/<name>/<version>/     the repository (core/models/model_repository.h)
//   exports/                     what ExportModel is sending
//   runs/<id>/spec.textproto     the effective spec
//   runs/<id>/deleted            marks a run to remove when its files are no longer used
//   runs/<id>/checkpoints/       (core/train/checkpoint/checkpoint.h)
//   runs/<id>/init.*, teacher/   the models that the run keeps (core/train/plan_run.h)
//   runs/<id>/events.out.*       TensorBoard's event files
class StateLayout {
 public:
  explicit StateLayout(std::filesystem::path directory) : directory_(std::move(directory)) {}

  std::filesystem::path lock() const { return directory_ / "vitd.lock"; }
  std::filesystem::path ports() const { return directory_ / "vitd.ports"; }
  std::filesystem::path database() const { return directory_ / "runs.db"; }
  std::filesystem::path models() const { return directory_ / "models"; }
  std::filesystem::path exports() const { return directory_ / "exports"; }
  std::filesystem::path runs() const { return directory_ / "runs"; }
  std::filesystem::path run(const std::string& id) const { return runs() / id; }

  // In a run's folder.
  static std::filesystem::path spec(const std::filesystem::path& run) {
    return run / "spec.textproto";
  }
  static std::filesystem::path deleted(const std::filesystem::path& run) { return run / "deleted"; }

 private:
  std::filesystem::path directory_;
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_STATE_LAYOUT_H_
