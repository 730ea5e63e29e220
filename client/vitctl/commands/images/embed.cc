#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/files.h"
#include "client/vitctl/view/model_text.h"
#include "client/vitctl/view/text.h"

namespace vit {
namespace {

struct EmbedOptions {
  std::vector<std::string> files;
  std::string model;
  std::string output;
  bool tokens = false;
};

// The maximum number of images in one request.
constexpr size_t kBatchImages = 16;

// NumPy's .npy, version 1.0, of float32: a header padded so that the values start at a multiple of
// 64 bytes (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
std::string Npy(const std::vector<int64_t>& shape, const std::vector<float>& values) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
  for (const int64_t size : shape) absl::StrAppend(&header, size, ", ");
  header += ")}";
  constexpr size_t kPreamble = 10;  // magic, version, length
  header.append(63 - (kPreamble + header.size()) % 64, ' ');
  header += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(header.size() & 0xff);
  out += static_cast<char>(header.size() >> 8);
  out += header;
  // x86-64 and ARM64, the only machines that are built for, are little-endian as the format says.
  out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  return out;
}

// Returns all images' features. One bad image fails the whole: a row left out would shift the rest.
absl::StatusOr<vit::v1::EmbedResponse> EmbedAll(VitClient& client, const EmbedOptions& options,
                                                std::istream& in) {
  vit::v1::EmbedResponse all;
  for (size_t begin = 0; begin < options.files.size(); begin += kBatchImages) {
    const size_t end = std::min(options.files.size(), begin + kBatchImages);
    vit::v1::EmbedRequest request;
    request.set_model(options.model);
    request.set_tokens(options.tokens);
    const auto about = [&](size_t i, const absl::Status& status) {
      return absl::Status(status.code(), absl::StrCat(options.files[i], ": ", status.message()));
    };
    for (size_t i = begin; i < end; ++i) {
      auto bytes = ReadImage(options.files[i], in);
      if (!bytes.ok()) return about(i, bytes.status());
      request.add_images()->swap(*bytes);
    }
    auto response = client.Embed(request);
    if (!response.ok()) return response.status();
    for (size_t i = begin; i < end; ++i) {
      const vit::v1::Embedding& result = response->results(static_cast<int>(i - begin));
      if (result.code() != 0) {
        return about(i, absl::Status(static_cast<absl::StatusCode>(result.code()), result.error()));
      }
    }
    // The model may have been replaced by a newer version between two requests.
    if (begin > 0 && (response->model().version() != all.model().version() ||
                      response->model().step() != all.model().step())) {
      return absl::AbortedError(
          "the model changed while images were embedded; name a version, or try again");
    }
    all.MergeFrom(*response);
  }
  return all;
}

int Embed(Session& session, const EmbedOptions& options) {
  auto client = session.Client(absl::Minutes(2));
  if (!client.ok()) return session.Fail(client.status());
  const auto response = EmbedAll(**client, options, *session.io().in);
  if (!response.ok()) return session.Fail(response.status());
  if (options.output.empty()) {
    session.PrintJson(*response);
    return kExitOk;
  }
  std::vector<int64_t> shape = {response->results_size()};
  if (options.tokens) shape.push_back(response->tokens());
  shape.push_back(response->features());
  std::vector<float> values;
  for (const vit::v1::Embedding& result : response->results()) {
    values.insert(values.end(), result.values().begin(), result.values().end());
  }
  const absl::Status written = WriteOutput(options.output, Npy(shape, values));
  if (!written.ok()) return session.Fail(written);
  std::string text;
  for (const int64_t size : shape) absl::StrAppend(&text, text.empty() ? "" : " x ", size);
  session.Note(absl::StrCat("wrote ", options.output, ": float32 ", text, ", by ",
                            IdentityText(response->model())));
  return kExitOk;
}

}  // namespace

void AddEmbed(CLI::App& app, Session& session) {
  auto options = std::make_shared<EmbedOptions>();
  CLI::App* command = app.add_subcommand("embed", "Write the features of images");
  command->add_option("FILE", options->files, "Images; - is standard input")
      ->type_name("PATH")
      ->required();
  command->add_option("-o,--out", options->output, "A .npy file to write; without it, prints JSON")
      ->type_name("FILE");
  command->add_option("--model", options->model, "NAME, NAME@VERSION, run:ID or latest (default)")
      ->type_name("MODEL");
  command->add_flag("--tokens", options->tokens,
                    "Every token's features instead of the pooled ones");
  command->footer(
      R"(The file holds float32 [images, features], with --tokens
[images, tokens, features], for numpy.load. An image that cannot be read
fails the command.
)");
  command->callback([&session, options] {
    session.action = [&session, options] { return Embed(session, *options); };
  });
}

}  // namespace vit
