// Training images per second, as the model takes them: random resized crop, flip, normalised.
//
//   loader_bench                    on generated photographs of 500 x 375
//   loader_bench FOLDER             on the images of a folder source
//   loader_bench write FOLDER       writes the generated photographs
//   loader_bench rate FOLDER        one number: images of FOLDER per second on one core
//   loader_bench rate randaugment   one number: 32 x 32 images in memory with RandAugment
//
// torchvision_bench.py runs the last two beside torchvision and timm.
#include <ATen/ATen.h>
#include <google/protobuf/text_format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/base/compute/compute_budget.h"
#include "core/base/compute/compute_threads.h"
#include "core/base/random.h"
#include "core/data/image/jpeg.h"
#include "core/data/image/transform.h"
#include "core/data/loader/loader.h"
#include "core/model/normalize.h"
#include "core/spec/defaults.h"

namespace vit::bench {
namespace {
namespace fs = std::filesystem;

constexpr int kSide = 224;
constexpr int kBatch = 32;
constexpr double kSeconds = 4;

void Check(const absl::Status& status) {
  if (status.ok()) return;
  fprintf(stderr, "loader_bench: %s\n", std::string(status.message()).c_str());
  exit(1);
}
template <typename T>
T Check(absl::StatusOr<T> result) {
  Check(result.status());
  return *std::move(result);
}

// Detail on all scales, as photographs have it: of octaves that are half as strong at twice the
// frequency.
Image Photograph(int width, int height, int seed) {
  Image image{width, height, std::vector<uint8_t>(size_t{3} * width * height)};
  std::vector<float> sum(image.rgb.size(), 128);
  CounterRandom random(seed, RandomPurpose::kShapes, 0, 0);
  float strength = 64;
  for (int cell = 128; cell >= 2; cell /= 2, strength *= 0.62f) {
    const int columns = width / cell + 2, rows = height / cell + 2;
    std::vector<float> lattice(size_t{3} * columns * rows);
    for (float& value : lattice) value = static_cast<float>(random.Uniform(-1, 1));
    for (int y = 0; y < height; ++y) {
      const float v = static_cast<float>(y % cell) / static_cast<float>(cell);
      for (int x = 0; x < width; ++x) {
        const float u = static_cast<float>(x % cell) / static_cast<float>(cell);
        const float* corner = &lattice[size_t{3} * (y / cell * columns + x / cell)];
        for (int c = 0; c < 3; ++c) {
          const float above = corner[c] + u * (corner[3 + c] - corner[c]);
          const float* low = corner + size_t{3} * columns;
          const float below = low[c] + u * (low[3 + c] - low[c]);
          sum[3 * (size_t{1} * y * width + x) + c] += strength * (above + v * (below - above));
        }
      }
    }
  }
  for (size_t i = 0; i < sum.size(); ++i) {
    image.rgb[i] = static_cast<uint8_t>(std::min(std::max(sum[i], 0.f), 255.f));
  }
  return image;
}

void WritePhotographs(const fs::path& folder) {
  for (int i = 0; i < 64; ++i) {
    const std::string bytes = *EncodeJpeg(Photograph(500, 375, i), 92);
    const fs::path file =
        folder / "train" / (i % 2 == 0 ? "even" : "odd") / absl::StrCat(i, ".jpg");
    fs::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<int64_t>(bytes.size()));
  }
}

// Images per second of `make_batch`, which returns how many it made.
double BatchRate(double seconds, const std::function<int64_t()>& make_batch) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  int64_t images = 0;
  double taken = 0;
  do {
    images += make_batch();
    taken = std::chrono::duration<double>(Clock::now() - start).count();
  } while (taken < seconds);
  return static_cast<double>(images) / taken;
}

// Images per second of `prepare`, which writes one image; batches are normalised as in the trainer.
double Rate(int side, const vit::v1::DataConfig& config, double seconds,
            const std::function<void(int64_t index, uint8_t* out)>& prepare) {
  const Normalizer normalize(config, at::kCPU);
  const size_t bytes = size_t{3} * side * side;
  std::vector<uint8_t> batch(kBatch * bytes);
  int64_t index = 0;
  return BatchRate(seconds, [&] {
    for (int i = 0; i < kBatch; ++i) prepare(index++, &batch[i * bytes]);
    normalize(at::from_blob(batch.data(), {kBatch, 3, side, side}, at::kByte));
    return kBatch;
  });
}

// A configuration with the fields of TrainTransform that `train` names, as text.
vit::v1::DataConfig Configure(const std::string& source, const std::string& train) {
  vit::v1::DataConfig config;
  config.set_source(source);
  google::protobuf::TextFormat::ParseFromString(train, config.mutable_train());
  return config;
}

// A folder source, without a cache in memory.
class Photographs {
 public:
  explicit Photographs(const fs::path& folder)
      // torchvision's interpolation.
      : config_(
            Configure(absl::StrCat("folder:", fs::absolute(folder).string()),
                      "crop: TRAIN_CROP_RANDOM_RESIZED interpolation: INTERPOLATION_BILINEAR")) {
    config_.set_cache(vit::v1::CACHE_MODE_OFF);
    data_ = Check(DataSet::Open(
        config_, {.data_roots = {fs::absolute(folder).string()}, .image_size = kSide}));
    FillDataDefaults({.class_count = static_cast<int>((*data_).class_names().size()),
                      .native_image_size = (*data_).native_size()},
                     kSide, &config_);
  }

  int64_t size() const { return data_->size(DataSplit::kTrain); }

  std::unique_ptr<SampleReader> MakeReader() const {
    return std::make_unique<SampleReader>(data_, config_, kSide, [](const BadImage& bad) {
      Check(absl::InvalidArgumentError(absl::StrCat(bad.name, ": ", bad.why.message())));
    });
  }

  // On one core. A new reader checks each file to its end for damage, and later reads only what it
  // needs.
  double FirstEpochRate(double seconds) const {
    std::unique_ptr<SampleReader> reader;
    return Rate(kSide, config_, seconds, [&](int64_t index, uint8_t* out) {
      if (index % size() == 0) reader = MakeReader();
      (void)reader->ReadTrain(1, index / size(), {index % size()}, out);
    });
  }
  double LaterEpochsRate(double seconds) const {
    const std::unique_ptr<SampleReader> reader = MakeReader();
    std::vector<uint8_t> out(size_t{3} * kSide * kSide);
    for (int64_t i = 0; i < size(); ++i) (void)reader->ReadTrain(1, 0, {i}, out.data());
    return Rate(kSide, config_, seconds, [&](int64_t index, uint8_t* place) {
      (void)reader->ReadTrain(1, 1 + index / size(), {index % size()}, place);
    });
  }
  // Decodes each image as a whole.
  double WholeRate(double seconds) const {
    const Augmenter augmenter(config_);
    return Rate(kSide, config_, seconds, [&](int64_t index, uint8_t* out) {
      const Image image = Check(data_->Load(DataSplit::kTrain, index % size()));
      CounterRandom random(1, RandomPurpose::kAugment, index / size(), index % size());
      TrainTransformImage(image, kSide, config_, augmenter, &random,
                          {out, size_t{3} * kSide * kSide});
    });
  }
  // With this many loader threads.
  double LoaderRate(int threads, double seconds) const {
    const std::unique_ptr<SampleReader> reader = MakeReader();
    TrainLoader loader(reader.get(),
                       {.seed = 1,
                        .batch_size = static_cast<int>(std::min<int64_t>(kBatch, size())),
                        .threads = threads});
    for (int64_t i = 0; i < size(); i += kBatch) Check(loader.Next({}));
    return BatchRate(seconds, [&] { return Check(loader.Next({})).size; });
  }

 private:
  vit::v1::DataConfig config_;
  std::shared_ptr<const DataSet> data_;
};

double RandAugmentRate(double seconds) {
  constexpr int kSmall = 32;
  vit::v1::DataConfig config =
      Configure("shapes:",
                "crop: TRAIN_CROP_RANDOM_RESIZED scale_min: 0.8 auto_augment: "
                "'rand-m9-mstd0.5-inc1'");
  const auto data = Check(DataSet::Open(config, {.image_size = kSmall}));
  FillDataDefaults({.class_count = static_cast<int>((*data).class_names().size()),
                    .native_image_size = (*data).native_size()},
                   kSmall, &config);
  const Augmenter augmenter(config);
  const Image image = Photograph(kSmall, kSmall, 0);
  return Rate(kSmall, config, seconds, [&](int64_t index, uint8_t* out) {
    CounterRandom random(1, RandomPurpose::kAugment, 0, index);
    TrainTransformImage(image, kSmall, config, augmenter, &random,
                        {out, size_t{3} * kSmall * kSmall});
  });
}

void Report(const Photographs& photographs) {
  printf("training images of 224 x 224 from %lld JPEG files, on one core\n",
         static_cast<long long>(photographs.size()));  // NOLINT(google-runtime-int): printf's
  const auto line = [](const std::string& what, double rate, double than) {
    printf("  %-32s %8.1f images/s  %5.2f\n", what.c_str(), rate, rate / than);
  };
  const double whole = photographs.WholeRate(kSeconds);
  line("decoding whole images", whole, whole);
  line("only the crop, first epoch", photographs.FirstEpochRate(kSeconds), whole);
  line("only the crop, later epochs", photographs.LaterEpochsRate(kSeconds), whole);
  printf("by the loader's threads\n");
  const double one = photographs.LoaderRate(1, kSeconds);
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  for (int threads = 1; threads <= cores; threads *= 2) {
    line(absl::StrCat(threads, " of ", cores),
         threads == 1 ? one : photographs.LoaderRate(threads, kSeconds), one);
  }
}

int Main(const std::vector<std::string>& arguments) {
  SetComputeThreads(1);
  if (arguments.size() == 2 && arguments[0] == "write") {
    WritePhotographs(arguments[1]);
  } else if (arguments.size() == 2 && arguments[0] == "rate") {
    printf("%.1f\n", arguments[1] == "randaugment"
                         ? RandAugmentRate(kSeconds)
                         : Photographs(arguments[1]).LaterEpochsRate(kSeconds));
  } else if (arguments.size() == 1) {
    Report(Photographs(arguments[0]));
  } else if (arguments.empty()) {
    const fs::path folder = fs::temp_directory_path() / absl::StrCat("loader_bench-", getpid());
    WritePhotographs(folder);
    Report(Photographs(folder));
    fs::remove_all(folder);
  } else {
    fprintf(stderr,
            "usage: loader_bench [FOLDER | write FOLDER | rate FOLDER | rate randaugment]\n");
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace vit::bench

int main(int argc, char** argv) {
  vit::PrepareComputeProcess(argv);
  return vit::bench::Main({argv + 1, argv + argc});
}
