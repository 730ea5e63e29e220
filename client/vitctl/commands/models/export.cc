#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/view/model_text.h"
#include "client/vitctl/view/text.h"

namespace vit {
namespace {

namespace fs = std::filesystem;

struct ExportOptions {
  std::string model;
  std::string format;
  std::string directory;
};

const std::map<std::string, vit::v1::ExportFormat>& Formats() {
  static const auto* const formats = new std::map<std::string, vit::v1::ExportFormat>{
      {"timm", vit::v1::EXPORT_FORMAT_TIMM},
      {"hf", vit::v1::EXPORT_FORMAT_HUGGING_FACE},
      {"torchvision", vit::v1::EXPORT_FORMAT_TORCHVISION},
      {"onnx", vit::v1::EXPORT_FORMAT_ONNX}};
  return *formats;
}

// Assembles the pieces of an exported directory, beside its final place until it is complete.
class DirectoryWriter {
 public:
  explicit DirectoryWriter(const std::string& directory)
      // Without a slash at the end.
      : directory_((fs::path(directory) / "").lexically_normal().parent_path()),
        aside_(directory_.string() + ".tmp") {}
  ~DirectoryWriter() {
    std::error_code error;
    if (made_) fs::remove_all(aside_, error);
  }

  absl::Status Create() {
    std::error_code error;
    for (const fs::path& path : {directory_, aside_}) {
      if (fs::exists(fs::symlink_status(path, error))) {
        return absl::AlreadyExistsError(
            absl::StrCat(path.string(), " exists; name another folder with -o, or remove it"));
      }
    }
    made_ = fs::create_directories(aside_, error);
    return error ? Failed(aside_, error.value()) : absl::OkStatus();
  }

  absl::Status Append(const vit::v1::ExportModelResponse& piece) {
    if (piece.file() != name_) {
      // A server must not write outside the folder.
      if (piece.file().empty() || fs::path(piece.file()).filename() != piece.file() ||
          piece.file() == "." || piece.file() == "..") {
        return absl::InternalError(
            absl::StrCat("the server sent a file called '", Printable(piece.file()), "'"));
      }
      if (absl::Status closed = Close(); !closed.ok()) return closed;
      name_ = piece.file();
      file_.open(aside_ / name_, std::ios::binary | std::ios::trunc);
    }
    file_.write(piece.data().data(), static_cast<std::streamsize>(piece.data().size()));
    bytes_ += static_cast<int64_t>(piece.data().size());
    return file_ ? absl::OkStatus() : Failed(aside_ / name_, errno);
  }

  absl::Status Finish() {
    if (absl::Status closed = Close(); !closed.ok()) return closed;
    std::error_code error;
    fs::rename(aside_, directory_, error);
    if (error) return Failed(directory_, error.value());
    made_ = false;
    return absl::OkStatus();
  }

  int64_t bytes() const { return bytes_; }

 private:
  static absl::Status Failed(const fs::path& path, int error) {
    return absl::UnknownError(absl::StrCat("cannot write ", path.string(), ": ",
                                           error == 0 ? "disk full?" : std::strerror(error)));
  }
  absl::Status Close() {
    if (!file_.is_open()) return absl::OkStatus();
    file_.close();
    return file_ ? absl::OkStatus() : Failed(aside_ / name_, errno);
  }

  const fs::path directory_, aside_;
  bool made_ = false;
  std::string name_;  // of the file that is being written
  std::ofstream file_;
  int64_t bytes_ = 0;
};

int Export(Session& session, const ExportOptions& options) {
  auto client = session.Client(absl::Minutes(10));
  if (!client.ok()) return session.Fail(client.status());
  vit::v1::ExportModelRequest request;
  request.set_model(options.model);
  request.set_format(Formats().at(options.format));
  const std::string directory =
      options.directory.empty()
          ? absl::StrCat(absl::StrReplaceAll(options.model, {{":", "-"}, {"@", "-"}, {"/", "-"}}),
                         "-", options.format)
          : options.directory;
  DirectoryWriter writer(directory);
  if (const absl::Status made = writer.Create(); !made.ok()) return session.Fail(made);
  vit::v1::ModelIdentity model;
  absl::Status status =
      (*client)->ExportModel(request, [&](const vit::v1::ExportModelResponse& piece) {
        if (piece.has_model()) model = piece.model();
        return writer.Append(piece);
      });
  if (status.ok()) status = writer.Finish();
  if (!status.ok()) return session.Fail(status);
  if (session.json()) {
    session.PrintJson(model);
  } else {
    session.out() << "exported " << IdentityText(model) << " to " << directory << ": "
                  << FormatBytes(writer.bytes()) << "\n";
  }
  return kExitOk;
}

}  // namespace

void AddExport(CLI::App& app, Session& session) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* command = app.add_subcommand("export", "Write a model in another program's format");
  command->add_option("MODEL", options->model, "NAME, NAME@VERSION, run:ID or latest")
      ->type_name("MODEL")
      ->required();
  command->add_option("--format", options->format, "timm, hf, torchvision or onnx")
      ->type_name("PROGRAM")
      ->check(CLI::IsMember(Formats()).description(""))
      ->required();
  command->add_option("-o,--out", options->directory, "The folder to make (default: MODEL-FORMAT)")
      ->type_name("PATH");
  command->footer(
      R"(timm         timm.create_model("local-dir:FOLDER", pretrained=True)
hf           AutoModelForImageClassification.from_pretrained("FOLDER")
torchvision  model.pth is a state dict; config.json has the arguments
onnx         model.onnx: images [batch, 3, size, size] to logits [batch, K]
)");
  command->callback([&session, options] {
    session.action = [&session, options] { return Export(session, *options); };
  });
}

}  // namespace vit
