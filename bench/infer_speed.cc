// Measures a frozen model's forward pass, from bytes to logits; infer_bench.py compares it with
// other programs.
//
//   infer_speed [--threads N] [--module] [--agreement] [--files FOLDER] MODEL BATCH PRECISION
//   PASSES
//
// MODEL is a ModelConfig in text form. Prints the median rate over PASSES passes and that of all
// together, in images per second; with --agreement, also for how many of 256 random images the
// largest logit is the same as in float32. With --module, it measures the module that trains. With
// --files, each image of a batch is decoded and preprocessed from a file of the folder first, by
// the same threads.
#include <torch/torch.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "core/base/compute/compute_budget.h"
#include "core/base/compute/compute_threads.h"
#include "core/base/file.h"
#include "core/data/image/image.h"
#include "core/data/image/transform.h"
#include "core/model/autocast.h"
#include "core/model/frozen/frozen_transformer.h"
#include "core/model/model_config.h"
#include "core/model/normalize.h"
#include "core/spec/defaults.h"
#include "proto/spec_text.h"

namespace vit::bench {
namespace {

constexpr int kImages = 256;

vit::v1::DataConfig Preprocessing() {
  vit::v1::DataConfig config;
  for (int i = 0; i < 3; ++i) {
    config.add_mean(0.5);
    config.add_std(0.5);
  }
  config.set_interpolation(vit::v1::INTERPOLATION_BICUBIC);
  config.mutable_eval()->set_crop_pct(0.9);
  config.mutable_eval()->set_crop_mode(vit::v1::CROP_MODE_CENTER);
  return config;
}

class Model {
 public:
  Model(const vit::v1::ModelConfig& config, int threads)
      : config_(config), model_(config), team_("infer", threads) {
    SetComputeThreads(threads);
    model_->Initialize(/*seed=*/1);
    model_->eval();
    at::Generator generator = at::detail::createCPUGenerator(2);
    bytes_ = at::randint(0, 256, {kImages, 3, config.image_size(), config.image_size()}, generator,
                         at::kByte);
  }

  std::unique_ptr<FrozenTransformer> Freeze(bool bfloat16) {
    return FrozenTransformer::Create(*model_, Preprocessing(),
                                     {.image_size = config_.image_size(), .bfloat16 = bfloat16});
  }

  // [count, K], of the first images.
  at::Tensor Compute(const FrozenTransformer& frozen, int64_t count) {
    std::vector<FrozenTransformer::Image> images;
    images.reserve(count);
    for (int64_t i = 0; i < count; ++i) {
      images.push_back({.bytes = bytes_[i].const_data_ptr<uint8_t>()});
    }
    at::Tensor out = at::empty({count, config_.num_classes()});
    frozen.Compute(images, FrozenTransformer::Output::kLogits, &team_, out.data_ptr<float>());
    return out;
  }

  // Decodes the next `count` of `files` to where Compute reads them.
  void Decode(absl::Span<const std::string> files, int count) {
    std::atomic<int> next = 0;
    team_.Run(team_.size(), [&](int) {
      for (int i; (i = next++) < count;) {
        const auto image = DecodeImage(files[(next_file_ + i) % files.size()], {});
        if (!image.ok()) std::abort();  // ReadFiles has tried it
        EvalTransformImage(
            *image, static_cast<int>(config_.image_size()), Preprocessing().eval(),
            vit::v1::INTERPOLATION_BICUBIC,
            {bytes_[i].mutable_data_ptr<uint8_t>(), static_cast<size_t>(bytes_[i].numel())});
      }
    });
    next_file_ += count;
  }

  void ComputeByModule(int64_t count, bool bfloat16) {
    const AutocastGuard autocast(bfloat16, at::kCPU);
    model_->forward(normalize_(bytes_.slice(0, 0, count)));
  }

 private:
  const vit::v1::ModelConfig config_;
  VisionTransformer model_;
  ComputeTeam team_;
  const Normalizer normalize_{Preprocessing(), at::kCPU};
  at::Tensor bytes_;
  size_t next_file_ = 0;
};

// Reads the images of a folder.
std::vector<std::string> ReadFiles(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    absl::StatusOr<std::string> file = ReadFile(entry.path(), int64_t{1} << 30);
    if (file.ok() && DecodeImage(*file, {}).ok()) files.push_back(*std::move(file));
  }
  return files;
}

// Prints the median rate of `pass`, which computes `batch` images, and that of all together.
template <typename Pass>
void PrintRates(int passes, int batch, const Pass& pass) {
  for (int i = 0; i < 3; ++i) pass();
  std::vector<double> seconds;
  for (int i = 0; i < passes; ++i) {
    const absl::Time start = absl::Now();
    pass();
    seconds.push_back(absl::ToDoubleSeconds(absl::Now() - start));
  }
  const double all = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  std::nth_element(seconds.begin(), seconds.begin() + passes / 2, seconds.end());
  std::printf("images_per_second=%.2f mean_images_per_second=%.2f\n", batch / seconds[passes / 2],
              passes * batch / all);
}

int Run(int argc, char** argv) {
  CLI::App app("Measures a frozen model.");
  std::string text, precision, folder;
  int batch = 1, passes = 10, threads = 1;
  bool module = false, agreement = false;
  app.add_option("--threads", threads)->check(CLI::Range(1, 1024));
  app.add_flag("--module", module);
  app.add_flag("--agreement", agreement);
  app.add_option("--files", folder)->check(CLI::ExistingDirectory);
  app.add_option("MODEL", text)->required();
  app.add_option("BATCH", batch)->required()->check(CLI::Range(1, kImages));
  app.add_option("PRECISION", precision)->required()->check(CLI::IsMember({"float32", "bfloat16"}));
  app.add_option("PASSES", passes)->required()->check(CLI::Range(1, 1000000));
  CLI11_PARSE(app, argc, argv);
  vit::v1::ModelConfig config;
  absl::Status status = ParseMessageText(text, &config);
  FillModelDefaults(1000, &config);
  if (status.ok()) status = ValidateModelConfig(config);
  if (!status.ok()) {
    std::fprintf(stderr, "infer_speed: %s\n", status.ToString().c_str());
    return 1;
  }
  const c10::InferenceMode inference;
  const bool bfloat16 = precision == "bfloat16";
  Model model(config, threads);
  if (module) {
    PrintRates(passes, batch, [&] { model.ComputeByModule(batch, bfloat16); });
    return 0;
  }
  const auto frozen = model.Freeze(bfloat16);
  const std::vector<std::string> files =
      folder.empty() ? std::vector<std::string>() : ReadFiles(folder);
  if (files.empty() && !folder.empty()) {
    std::fprintf(stderr, "infer_speed: %s has no images\n", folder.c_str());
    return 1;
  }
  PrintRates(passes, batch, [&] {
    if (!files.empty()) model.Decode(files, batch);
    model.Compute(*frozen, batch);
  });
  if (!agreement) return 0;
  const auto exact = model.Freeze(false);
  const at::Tensor same =
      model.Compute(*frozen, kImages).argmax(1).eq(model.Compute(*exact, kImages).argmax(1));
  std::printf("agreement=%.4f\n", same.to(at::kFloat).mean().item<double>());
  return 0;
}

}  // namespace
}  // namespace vit::bench

int main(int argc, char** argv) {
  vit::PrepareComputeProcess(argv);
  return vit::bench::Run(argc, argv);
}
