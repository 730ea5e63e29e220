#include "core/data/loader/sample_reader.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/mutex.h"
#include "core/base/random.h"
#include "core/base/status.h"
#include "core/data/data_config.h"
#include "core/data/image/transform.h"
#include "core/data/per_split.h"

namespace vit {
namespace {

// Training crops may be small parts of an image, so decoding keeps about the detail of ImageNet's
// own images, whose short side is about twice the usual input.
constexpr int kTrainDetail = 2;

constexpr size_t kNamesKept = 10;

// The bytes that an image takes in the cache.
int64_t BytesKept(int width, int height) {
  return int64_t{3} * width * height + static_cast<int64_t>(sizeof(Image));
}

absl::Span<uint8_t> Planes(uint8_t* out, int image_size) {
  return {out, size_t{3} * image_size * image_size};
}

// The least short side of a decoded image of `split`; 0 is full size.
int MinShortSide(DataSplit split, int image_size) {
  return split == DataSplit::kTrain ? kTrainDetail * image_size : 0;
}

}  // namespace

class SampleReader::Impl {
 public:
  Impl(std::shared_ptr<const DataSet> data, const vit::v1::DataConfig& config, int image_size,
       BadImageCallback on_bad_image);
  ~Impl();

  absl::StatusOr<bool> ReadTrain(uint64_t seed, int64_t epoch, const SampleDraw& draw,
                                 uint8_t* out);
  absl::StatusOr<bool> ReadEval(DataSplit split, int64_t index, uint8_t* out);
  absl::Status CheckBadFraction(DataSplit split, const std::stop_token& stop);

  int64_t bad_images(DataSplit split) const { return bad_images_[split].load(); }
  const DataSet& data() const { return *data_; }
  const vit::v1::DataConfig& config() const { return config_; }
  int image_size() const { return image_size_; }
  int eval_image_size() const { return eval_image_size_; }

 private:
  // What is known about one image: nothing, that it is unreadable (&kBad), that it was decoded
  // without an error (&kWhole), or its pixels.
  using Slot = std::atomic<const Image*>;

  static bool HasPixels(const Image* known) {
    return known != nullptr && known != &kBad && known != &kWhole;
  }

  // Returns the decoded image, from the cache or in `scratch`; null if it cannot be read.
  absl::StatusOr<const Image*> Get(DataSplit split, int64_t index, Image* scratch);
  // Reserves room in the cache for an image of this size; false if there is none.
  bool TakeRoom(int width, int height);
  void GiveRoomBack(int width, int height);
  // Puts `image`, for which room is reserved, into the cache and returns the image cached there.
  const Image* Keep(Slot* slot, Image image);
  // Marks the sample as unreadable for the rest of the run and returns false. Returns the reason
  // instead if it is not the sample's fault.
  absl::StatusOr<bool> MarkBad(DataSplit split, int64_t index, const absl::Status& why);
  // Continues to read `split` for CheckBadFraction's message; returns whether all of it was read.
  bool ReadOn(DataSplit split, const std::stop_token& stop);

  static const Image kBad;
  static const Image kWhole;

  const std::shared_ptr<const DataSet> data_;
  const vit::v1::DataConfig config_;
  const Augmenter augmenter_;
  const int image_size_;
  const int eval_image_size_;
  const BadImageCallback on_bad_image_;
  const bool cache_;
  PerSplit<std::vector<Slot>> slots_;
  std::atomic<int64_t> cached_bytes_ = 0;
  PerSplit<std::atomic<int64_t>> bad_images_;
  Mutex mu_;
  PerSplit<std::vector<std::string>> first_bad_ VIT_GUARDED_BY(mu_);
};

const Image SampleReader::Impl::kBad;
const Image SampleReader::Impl::kWhole;

SampleReader::Impl::Impl(std::shared_ptr<const DataSet> data, const vit::v1::DataConfig& config,
                         int image_size, BadImageCallback on_bad_image)
    : data_(std::move(data)),
      config_(config),
      augmenter_(config),
      image_size_(image_size),
      eval_image_size_(EvalImageSize(config, image_size)),
      on_bad_image_(std::move(on_bad_image)),
      cache_(config.cache() != vit::v1::CACHE_MODE_OFF),
      slots_{std::vector<Slot>(data_->size(DataSplit::kTrain)),
             std::vector<Slot>(data_->size(DataSplit::kValidation))} {}

SampleReader::Impl::~Impl() {
  for (const DataSplit split : kDataSplits) {
    for (const Slot& slot : slots_[split]) {
      const Image* known = slot.load();
      if (HasPixels(known)) delete known;
    }
  }
}

absl::StatusOr<const Image*> SampleReader::Impl::Get(DataSplit split, int64_t index,
                                                     Image* scratch) {
  Slot& slot = slots_[split][index];
  const Image* const known = slot.load(std::memory_order_acquire);
  if (known == &kBad) return static_cast<const Image*>(nullptr);
  if (HasPixels(known)) return known;
  absl::StatusOr<Image> loaded = CatchExceptions(
      "read", [&] { return data_->Load(split, index, MinShortSide(split, image_size_)); });
  if (!loaded.ok()) {
    VIT_RETURN_IF_ERROR(MarkBad(split, index, loaded.status()));
    return static_cast<const Image*>(nullptr);
  }
  if (TakeRoom(loaded->width, loaded->height)) return Keep(&slot, *std::move(loaded));
  const Image* unknown = nullptr;
  slot.compare_exchange_strong(unknown, &kWhole);
  *scratch = *std::move(loaded);
  return scratch;
}

bool SampleReader::Impl::TakeRoom(int width, int height) {
  if (!cache_) return false;
  const int64_t bytes = BytesKept(width, height);
  if (cached_bytes_.fetch_add(bytes) + bytes <= config_.max_cache_bytes()) return true;
  cached_bytes_.fetch_sub(bytes);
  return false;
}

void SampleReader::Impl::GiveRoomBack(int width, int height) {
  cached_bytes_.fetch_sub(BytesKept(width, height));
}

const Image* SampleReader::Impl::Keep(Slot* slot, Image image) {
  auto kept = std::make_unique<const Image>(std::move(image));
  const Image* known = slot->load(std::memory_order_acquire);
  while (!HasPixels(known)) {
    if (slot->compare_exchange_weak(known, kept.get(), std::memory_order_acq_rel)) {
      return kept.release();
    }
  }
  // Another thread was first with the same image.
  GiveRoomBack(kept->width, kept->height);
  return known;
}

absl::StatusOr<bool> SampleReader::Impl::MarkBad(DataSplit split, int64_t index,
                                                 const absl::Status& why) {
  // A run that leaves the image out now, but not after a restart, would not be the same run.
  if (absl::IsResourceExhausted(why) && !IsOverLimit(why)) {
    return Annotate(why, absl::StrCat("read ", data_->name(split, index)));
  }
  BadImage bad{data_->name(split, index), why, split};
  {
    // Marked and counted at once, so that CheckBadFraction counts what its reading skips.
    MutexLock lock(&mu_);
    Slot& slot = slots_[split][index];
    const Image* known = slot.load();
    do {
      if (known == &kBad || HasPixels(known)) return false;  // another thread was first
    } while (!slot.compare_exchange_weak(known, &kBad));
    std::vector<std::string>& first = first_bad_[split];
    if (first.size() < kNamesKept) {
      first.push_back(absl::StrCat(bad.name, " (", why.message(), ")"));
    }
    ++bad_images_[split];
    bad.bad_train_images = bad_images(DataSplit::kTrain);
    bad.bad_validation_images = bad_images(DataSplit::kValidation);
  }
  if (on_bad_image_) on_bad_image_(bad);
  return false;
}

absl::StatusOr<bool> SampleReader::Impl::ReadTrain(uint64_t seed, int64_t epoch,
                                                   const SampleDraw& draw, uint8_t* out) {
  const int64_t stream = draw.index + draw.copy * data_->size(DataSplit::kTrain);
  CounterRandom random(seed, RandomPurpose::kAugment, epoch, stream);
  const absl::Span<uint8_t> planes = Planes(out, image_size_);
  Slot& slot = slots_[DataSplit::kTrain][draw.index];
  const Image* const known = slot.load(std::memory_order_acquire);
  if (known == &kBad) return false;
  if (HasPixels(known)) {
    TrainTransformImage(*known, image_size_, config_, augmenter_, &random, planes);
    return true;
  }
  TrainDraw transform;
  Region whole;
  bool keep = false;
  PixelRequest request{.min_short_side = MinShortSide(DataSplit::kTrain, image_size_),
                       .known_whole = known == &kWhole};
  request.choose = [&](int width, int height) {
    transform = DrawTrainTransform(width, height, image_size_, config_, &random);
    whole = {0, 0, width, height};
    keep = TakeRoom(width, height);
    return keep ? whole : transform.source;
  };
  absl::StatusOr<ImagePart> part = CatchExceptions(
      "read", [&] { return data_->LoadPart(DataSplit::kTrain, draw.index, request); });
  if (!part.ok()) {
    if (keep) GiveRoomBack(whole.width, whole.height);
    return MarkBad(DataSplit::kTrain, draw.index, part.status());
  }
  transform.source.left -= part->left;
  transform.source.top -= part->top;
  TrainTransformPart(part->image, transform, image_size_, config_, augmenter_, &random, planes);
  if (keep) {
    Keep(&slot, std::move(part->image));
  } else {
    const Image* expected = nullptr;
    slot.compare_exchange_strong(expected, &kWhole);
  }
  return true;
}

absl::StatusOr<bool> SampleReader::Impl::ReadEval(DataSplit split, int64_t index, uint8_t* out) {
  Image scratch;
  const Image* image;
  if (split == DataSplit::kTrain && data_->native_size() == 0) {
    // The cached version of a training image may be smaller than evaluation needs.
    absl::StatusOr<Image> loaded =
        CatchExceptions("read", [&] { return data_->Load(split, index, /*min_short_side=*/0); });
    if (!loaded.ok()) return MarkBad(split, index, loaded.status());
    scratch = *std::move(loaded);
    image = &scratch;
  } else {
    VIT_ASSIGN_OR_RETURN(image, Get(split, index, &scratch));
    if (image == nullptr) return false;
  }
  EvalTransformImage(*image, eval_image_size_, config_.eval(), config_.interpolation(),
                     Planes(out, eval_image_size_));
  return true;
}

bool SampleReader::Impl::ReadOn(DataSplit split, const std::stop_token& stop) {
  constexpr int64_t kMostImages = 2000;
  int64_t read = 0;
  for (int64_t i = 0; i < data_->size(split); ++i) {
    if (slots_[split][i].load() != nullptr) continue;
    if (bad_images(split) >= static_cast<int64_t>(kNamesKept) || stop.stop_requested() ||
        read++ == kMostImages) {
      return false;
    }
    Image scratch;
    if (!Get(split, i, &scratch).ok()) return false;
  }
  return true;
}

absl::Status SampleReader::Impl::CheckBadFraction(DataSplit split, const std::stop_token& stop) {
  if (split == DataSplit::kValidation && config_.listing_version() == 1) return absl::OkStatus();
  const int64_t size = data_->size(split);
  const double most = config_.max_bad_fraction() * static_cast<double>(size);
  if (static_cast<double>(bad_images(split)) <= most) return absl::OkStatus();
  // What is wrong with one split is likely to be wrong with the other.
  const DataSplit other = split == DataSplit::kTrain ? DataSplit::kValidation : DataSplit::kTrain;
  const bool seen_all = ReadOn(split, stop), seen_other = ReadOn(other, stop);
  const auto count = [&](DataSplit of, bool seen) {
    return absl::StrCat(seen ? "" : "at least ", bad_images(of), " of the ", data_->size(of),
                        of == DataSplit::kTrain ? " training" : " validation", " images");
  };
  MutexLock lock(&mu_);
  std::vector<std::string> named = first_bad_[split];
  const std::vector<std::string>& more = first_bad_[other];
  named.insert(named.end(), more.begin(),
               more.begin() + std::min(more.size(), kNamesKept - named.size()));
  const bool named_all =
      bad_images(split) + bad_images(other) == static_cast<int64_t>(named.size());
  return absl::InvalidArgumentError(absl::StrFormat(
      "data %s: %s cannot be read, more than data.max_bad_fraction (%g) allows%s; repair or remove "
      "them, or raise the limit (vitctl inspect-data %s finds all). %s: %s",
      config_.source(), count(split, seen_all), config_.max_bad_fraction(),
      bad_images(other) > 0 ? absl::StrCat(", and ", count(other, seen_other)) : "",
      config_.source(), named_all ? "They are" : "The first ten", absl::StrJoin(named, "; ")));
}

SampleReader::SampleReader(std::shared_ptr<const DataSet> data, const vit::v1::DataConfig& config,
                           int image_size, BadImageCallback on_bad_image)
    : impl_(std::make_unique<Impl>(std::move(data), config, image_size, std::move(on_bad_image))) {}
SampleReader::~SampleReader() = default;

absl::StatusOr<bool> SampleReader::ReadTrain(uint64_t seed, int64_t epoch, const SampleDraw& draw,
                                             uint8_t* out) {
  return impl_->ReadTrain(seed, epoch, draw, out);
}
absl::StatusOr<bool> SampleReader::ReadEval(DataSplit split, int64_t index, uint8_t* out) {
  return impl_->ReadEval(split, index, out);
}
int64_t SampleReader::bad_images(DataSplit split) const { return impl_->bad_images(split); }
absl::Status SampleReader::CheckBadFraction(DataSplit split, const std::stop_token& stop) {
  return impl_->CheckBadFraction(split, stop);
}
const DataSet& SampleReader::data() const { return impl_->data(); }
const vit::v1::DataConfig& SampleReader::config() const { return impl_->config(); }
int SampleReader::image_size() const { return impl_->image_size(); }
int SampleReader::eval_image_size() const { return impl_->eval_image_size(); }

int64_t EstimateCacheBytes(const DataSet& data, const vit::v1::DataConfig& config, int image_size) {
  if (config.cache() == vit::v1::CACHE_MODE_OFF) return 0;
  constexpr int64_t kLooks = 8;
  int64_t bytes = 0;
  for (const DataSplit split : {DataSplit::kTrain, DataSplit::kValidation}) {
    const int64_t size = data.size(split), looks = std::min(size, kLooks);
    int64_t seen = 0;
    for (int64_t i = 0; i < looks; ++i) {
      const absl::StatusOr<Image> image =
          data.Load(split, size * i / looks, MinShortSide(split, image_size));
      if (image.ok()) seen += static_cast<int64_t>(image->rgb.size() + sizeof(Image));
    }
    if (looks > 0) bytes += seen * size / looks;
  }
  return std::min(bytes, config.max_cache_bytes());
}

}  // namespace vit
