#include "core/data/sources/cifar.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/data/per_split.h"
#include "core/data/sources/fingerprint.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

constexpr int kSide = 32;
constexpr int kPlane = kSide * kSide;
constexpr int kPixels = 3 * kPlane;

constexpr std::array<const char*, 10> kCifar10Names = {
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};

constexpr std::array<const char*, 100> kCifar100Names = {
    "apple",       "aquarium_fish", "baby",      "bear",       "beaver",       "bed",
    "bee",         "beetle",        "bicycle",   "bottle",     "bowl",         "boy",
    "bridge",      "bus",           "butterfly", "camel",      "can",          "castle",
    "caterpillar", "cattle",        "chair",     "chimpanzee", "clock",        "cloud",
    "cockroach",   "couch",         "crab",      "crocodile",  "cup",          "dinosaur",
    "dolphin",     "elephant",      "flatfish",  "forest",     "fox",          "girl",
    "hamster",     "house",         "kangaroo",  "keyboard",   "lamp",         "lawn_mower",
    "leopard",     "lion",          "lizard",    "lobster",    "man",          "maple_tree",
    "motorcycle",  "mountain",      "mouse",     "mushroom",   "oak_tree",     "orange",
    "orchid",      "otter",         "palm_tree", "pear",       "pickup_truck", "pine_tree",
    "plain",       "plate",         "poppy",     "porcupine",  "possum",       "rabbit",
    "raccoon",     "ray",           "road",      "rocket",     "rose",         "sea",
    "seal",        "shark",         "shrew",     "skunk",      "skyscraper",   "snail",
    "snake",       "spider",        "squirrel",  "streetcar",  "sunflower",    "sweet_pepper",
    "table",       "tank",          "telephone", "television", "tiger",        "tractor",
    "train",       "trout",         "tulip",     "turtle",     "wardrobe",     "whale",
    "willow_tree", "wolf",          "woman",     "worm"};
static_assert(kCifar100Names.back() != nullptr);

// The files of a set, and how a record starts.
struct Layout {
  int classes;
  int label_bytes;     // the last one counts: CIFAR-100 has the coarse label first
  const char* folder;  // what the published archive unpacks to
  const char* names_file;
  std::vector<std::string> train;
  std::vector<std::string> test;
};

Layout LayoutFor(int classes) {
  if (classes == 10) {
    return {10,
            1,
            "cifar-10-batches-bin",
            "batches.meta.txt",
            {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
             "data_batch_5.bin"},
            {"test_batch.bin"}};
  }
  return {100, 2, "cifar-100-binary", "fine_label_names.txt", {"train.bin"}, {"test.bin"}};
}

// One open file of records. Images are read when asked for; the system's page cache keeps them.
class RecordFile {
 public:
  RecordFile(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  RecordFile(RecordFile&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        name_(std::move(other.name_)),
        labels_(std::move(other.labels_)) {}
  RecordFile& operator=(RecordFile&&) = delete;
  ~RecordFile() {
    if (fd_ >= 0) close(fd_);
  }

  // Reads every label of the file at `path`.
  static absl::StatusOr<RecordFile> Open(const fs::path& path, const Layout& layout);

  const std::string& name() const { return name_; }
  const std::vector<uint8_t>& labels() const { return labels_; }
  absl::Status Read(int64_t offset, uint8_t* out, size_t count) const;

 private:
  int fd_;
  std::string name_;
  std::vector<uint8_t> labels_;
};

absl::Status RecordFile::Read(int64_t offset, uint8_t* out, size_t count) const {
  while (count > 0) {
    const ssize_t n = pread(fd_, out, count, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", name_));
    if (n == 0) return absl::InvalidArgumentError(absl::StrCat(name_, " became shorter"));
    out += n;
    offset += n;
    count -= n;
  }
  return absl::OkStatus();
}

absl::StatusOr<RecordFile> RecordFile::Open(const fs::path& path, const Layout& layout) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path.string()));
  RecordFile file(fd, path.filename().string());
  struct stat info;
  if (fstat(fd, &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("stat ", path.string()));
  }
  const int64_t record = layout.label_bytes + kPixels;
  if (!S_ISREG(info.st_mode) || info.st_size == 0 || info.st_size % record != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        path.string(), " has ", info.st_size, " bytes, which is not a whole number of records of ",
        record, " bytes: the file is truncated or in another format"));
  }
  constexpr int64_t kRecordsAtOnce = 1024;
  std::vector<uint8_t> block(record * kRecordsAtOnce);
  for (int64_t offset = 0; offset < info.st_size; offset += static_cast<int64_t>(block.size())) {
    block.resize(std::min<int64_t>(record * kRecordsAtOnce, info.st_size - offset));
    VIT_RETURN_IF_ERROR(file.Read(offset, block.data(), block.size()));
    for (size_t at = 0; at < block.size(); at += record) {
      const uint8_t label = block[at + layout.label_bytes - 1];
      if (label >= layout.classes) {
        return absl::InvalidArgumentError(absl::StrCat(path.string(), ": record ",
                                                       file.labels_.size(), " has label ", label,
                                                       "; expected 0 to ", layout.classes - 1));
      }
      file.labels_.push_back(label);
    }
  }
  return file;
}

// The files of one split.
struct RecordFiles {
  std::vector<RecordFile> files;
  int64_t size = 0;  // samples
};

class Cifar : public DataSet {
 public:
  // `label_bytes`: before the pixels of a record.
  Cifar(int label_bytes, PerSplit<RecordFiles> splits, DataSetFacts facts)
      : DataSet(std::move(facts)), label_bytes_(label_bytes), splits_(std::move(splits)) {}

  int64_t size(DataSplit split) const override { return splits_[split].size; }
  int64_t label(DataSplit split, int64_t index) const override {
    const Place place = Find(split, index);
    return place.file->labels()[place.record];
  }
  std::string name(DataSplit split, int64_t index) const override {
    const Place place = Find(split, index);
    return absl::StrCat(place.file->name(), ":", place.record);
  }
  absl::StatusOr<ImagePart> LoadPart(DataSplit split, int64_t index,
                                     const PixelRequest& request) const override {
    const Place place = Find(split, index);
    std::array<uint8_t, kPixels> planes;
    VIT_RETURN_IF_ERROR(place.file->Read(place.record * (label_bytes_ + kPixels) + label_bytes_,
                                         planes.data(), kPixels));
    Image image{kSide, kSide, std::vector<uint8_t>(kPixels)};
    for (int i = 0; i < kPlane; ++i) {
      for (int c = 0; c < 3; ++c) image.rgb[3 * i + c] = planes[c * kPlane + i];
    }
    return WholePart(std::move(image), request);
  }

 private:
  struct Place {
    const RecordFile* file;
    int64_t record;
  };
  Place Find(DataSplit split, int64_t index) const {
    const RecordFile* file = splits_[split].files.data();
    for (; index >= static_cast<int64_t>(file->labels().size()); ++file) {
      index -= static_cast<int64_t>(file->labels().size());
    }
    return {file, index};
  }

  const int label_bytes_;
  const PerSplit<RecordFiles> splits_;
};

absl::StatusOr<std::vector<std::string>> ReadClassNames(const Layout& layout,
                                                        const fs::path& folder,
                                                        const DataSetOptions& options) {
  const auto path = ResolveUnderRoots((folder / layout.names_file).string(), options.data_roots);
  if (absl::IsNotFound(path.status())) {
    if (layout.classes == 10) {
      return std::vector<std::string>(kCifar10Names.begin(), kCifar10Names.end());
    }
    return std::vector<std::string>(kCifar100Names.begin(), kCifar100Names.end());
  }
  VIT_RETURN_IF_ERROR(path);
  constexpr int64_t kMaxBytes = 64 << 10;
  VIT_ASSIGN_OR_RETURN(const std::string text, ReadFile(*path, kMaxBytes));
  std::vector<std::string> names =
      absl::StrSplit(text, absl::ByAnyChar("\r\n"), absl::SkipWhitespace());
  if (names.size() != static_cast<size_t>(layout.classes)) {
    return absl::InvalidArgumentError(absl::StrCat(path->string(), " has ", names.size(),
                                                   " class names; expected ", layout.classes));
  }
  return names;
}

absl::StatusOr<std::shared_ptr<const DataSet>> OpenAll(const Layout& layout, fs::path folder,
                                                       const DataSetOptions& options) {
  std::error_code code;
  if (!fs::exists(folder / layout.train.front(), code) &&
      fs::is_directory(folder / layout.folder, code)) {
    folder /= layout.folder;
  }
  PerSplit<RecordFiles> splits;
  Fingerprint fingerprint;
  for (const DataSplit split : kDataSplits) {
    RecordFiles& files = splits[split];
    for (const std::string& name : split == DataSplit::kTrain ? layout.train : layout.test) {
      auto path = ResolveUnderRoots((folder / name).string(), options.data_roots);
      if (absl::IsNotFound(path.status())) {
        return absl::NotFoundError(absl::StrCat("no ", name, " in ", folder.string(),
                                                "; expected the binary version of the set (",
                                                layout.folder, "), see scripts/download-data"));
      }
      VIT_RETURN_IF_ERROR(path);
      VIT_ASSIGN_OR_RETURN(RecordFile file, RecordFile::Open(*path, layout));
      files.size += static_cast<int64_t>(file.labels().size());
      fingerprint.Add(name);
      fingerprint.Add(absl::string_view(reinterpret_cast<const char*>(file.labels().data()),
                                        file.labels().size()));
      files.files.push_back(std::move(file));
    }
    fingerprint.Add(files.size);
  }
  VIT_ASSIGN_OR_RETURN(std::vector<std::string> names, ReadClassNames(layout, folder, options));
  for (const std::string& name : names) fingerprint.Add(name);
  return std::make_shared<Cifar>(
      layout.label_bytes, std::move(splits),
      DataSetFacts{
          .class_names = std::move(names), .native_size = kSide, .fingerprint = fingerprint.Hex()});
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DataSet>> OpenCifar(const std::string& path, int classes,
                                                         const DataSetOptions& options) {
  VIT_ASSIGN_OR_RETURN(fs::path folder, ResolveUnderRoots(path, options.data_roots));
  return OpenAll(LayoutFor(classes), std::move(folder), options);
}

}  // namespace vit
