// make_shapes: writes images of the built-in `shapes:` data set as PNG files, one folder per class,
// to classify them or to try a folder data set.
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/data/dataset.h"
#include "core/data/image/png.h"

namespace vit {
namespace {

struct Arguments {
  std::filesystem::path out;
  std::string source = "shapes:";
  int image_size = 32;
  uint64_t seed = 0;
  int64_t train = 0;
  int64_t val = 100;
};

absl::Status WritePng(const Image& image, const std::filesystem::path& path) {
  const absl::StatusOr<std::string> png =
      EncodePng(image.rgb.data(), image.width, image.height, ChannelOrder::kRgb);
  if (!png.ok()) return Annotate(png.status(), path.string());
  return WriteFileAtomically(path, *png);
}

// Writes all of `split` to `directory`/<class>/<index>.png.
absl::Status WriteSplit(const DataSet& data, DataSplit split,
                        const std::filesystem::path& directory) {
  for (const std::string& name : data.class_names()) {
    if (absl::Status made = CreateDirectories(directory / name); !made.ok()) return made;
  }
  for (int64_t i = 0; i < data.size(split); ++i) {
    absl::StatusOr<Image> image = data.Load(split, i, /*min_short_side=*/0);
    if (!image.ok()) return image.status();
    const std::filesystem::path path =
        directory / data.class_names()[data.label(split, i)] / absl::StrFormat("%06d.png", i);
    if (absl::Status written = WritePng(*image, path); !written.ok()) return written;
  }
  return absl::OkStatus();
}

absl::Status MakeShapes(const Arguments& arguments) {
  vit::v1::DataConfig config;
  config.set_source(arguments.source);
  config.mutable_shapes()->set_seed(arguments.seed);
  if (arguments.train > 0) config.mutable_shapes()->set_train_size(arguments.train);
  if (arguments.val > 0) config.mutable_shapes()->set_val_size(arguments.val);
  DataSetOptions options;
  options.image_size = arguments.image_size;
  absl::StatusOr<std::shared_ptr<const DataSet>> data = DataSet::Open(config, options);
  if (!data.ok()) return data.status();
  if (arguments.train > 0) {
    absl::Status written = WriteSplit(**data, DataSplit::kTrain, arguments.out / "train");
    if (!written.ok()) return written;
  }
  if (arguments.val > 0) {
    absl::Status written = WriteSplit(**data, DataSplit::kValidation, arguments.out / "val");
    if (!written.ok()) return written;
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace vit

int main(int argc, char** argv) {
  vit::Arguments arguments;
  CLI::App app(
      "Writes images of the built-in shapes data set as PNG files to DIR/train/<class>/ and "
      "DIR/val/<class>/: the same images that a run on `shapes:` sees at that size and seed.");
  app.add_option("DIR", arguments.out, "Folder to write to; created if missing")->required();
  app.add_option("--source", arguments.source, "shapes: or shapes:hard")
      ->check(CLI::IsMember({"shapes:", "shapes:hard"}))
      ->capture_default_str();
  app.add_option("--image-size", arguments.image_size, "Height and width, in pixels")
      ->check(CLI::Range(8, 4096))
      ->capture_default_str();
  app.add_option("--seed", arguments.seed, "Seed of the images")->capture_default_str();
  app.add_option("--train", arguments.train, "Training images; 0 writes none")
      ->check(CLI::Range(0, 10'000'000))
      ->capture_default_str();
  app.add_option("--val", arguments.val, "Validation images; 0 writes none")
      ->check(CLI::Range(0, 10'000'000))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = vit::MakeShapes(arguments); !status.ok()) {
    std::cerr << "make_shapes: " << status.message() << "\n";
    return 1;
  }
  return 0;
}
