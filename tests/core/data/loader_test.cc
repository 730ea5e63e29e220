#include "core/data/loader/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/mutex.h"
#include "core/base/random.h"
#include "core/base/status.h"
#include "core/data/data_config.h"
#include "tests/core/data/testing.h"

namespace vit {
namespace {

using ::testing::HasSubstr;

constexpr int kSide = 16;

std::shared_ptr<const DataSet> Open(const vit::v1::DataConfig& config,
                                    const TemporaryFolder& folder) {
  DataSetOptions options;
  options.data_roots = {folder.root()};
  options.image_size = kSide;
  auto opened = DataSet::Open(config, options);
  EXPECT_TRUE(opened.ok()) << opened.status();
  return *std::move(opened);
}

// Two classes of 20 images and a validation split of 7, `bad_train` of the training ones damaged.
void WriteFolder(const TemporaryFolder& folder, const std::set<int>& bad_train = {},
                 const std::set<int>& bad_val = {}) {
  for (int i = 0; i < 40; ++i) {
    std::string bytes = Encode(SmoothImage(20 + i % 5, 24, i), ".jpg");
    if (bad_train.contains(i)) bytes.resize(bytes.size() / 2);
    folder.Write("train/" + std::string(i < 20 ? "a/" : "b/") + std::to_string(100 + i) + ".jpg",
                 bytes);
  }
  for (int i = 0; i < 7; ++i) {
    const std::string bytes =
        bad_val.contains(i) ? "no image" : Encode(SmoothImage(20, 20, i), ".png");
    folder.Write("val/" + std::string(i < 3 ? "a/" : "b/") + std::to_string(i) + ".png", bytes);
  }
}

class LoaderTest : public ::testing::Test {
 protected:
  // Opens the data set that `config_` names.
  void OpenData() {
    data_ = Open(config_, folder_);
    FillDefaultsFor(*data_, kSide, &config_);
  }
  void OpenFolder() {
    config_.set_source("folder:" + folder_.root());
    OpenData();
  }
  void OpenShapes(int size) {
    config_.set_source("shapes:");
    config_.mutable_shapes()->set_train_size(size);
    config_.mutable_shapes()->set_val_size(size);
    OpenData();
  }
  std::unique_ptr<SampleReader> MakeReader() {
    return std::make_unique<SampleReader>(data_, config_, kSide, [this](const BadImage& image) {
      MutexLock lock(&mu_);
      ++reported_[image.name];
    });
  }
  std::vector<Batch> ReadTrain(TrainLoader::Options options, int count) {
    const auto reader = MakeReader();
    TrainLoader loader(reader.get(), options);
    std::vector<Batch> batches;
    for (int i = 0; i < count; ++i) {
      auto batch = loader.Next({});
      EXPECT_TRUE(batch.ok()) << batch.status();
      if (!batch.ok()) break;
      batches.push_back(*std::move(batch));
    }
    return batches;
  }

  TemporaryFolder folder_;
  vit::v1::DataConfig config_;
  std::shared_ptr<const DataSet> data_;
  Mutex mu_;
  std::map<std::string, int> reported_ VIT_GUARDED_BY(mu_);
};

void ExpectSame(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.step, b.step);
  EXPECT_EQ(a.size, b.size);
  EXPECT_EQ(a.slots, b.slots);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_TRUE(std::equal(a.images.begin(), a.images.end(), b.images.begin(), b.images.end()))
      << "step " << a.step;
}

TEST_F(LoaderTest, ThreadCountChangesNoBatch) {
  WriteFolder(folder_, /*bad_train=*/{3, 25});
  config_.set_max_bad_fraction(1);
  OpenFolder();
  const auto expected =
      ReadTrain({.seed = 5, .batch_size = 7, .threads = 1, .prefetch_batches = 1}, 23);
  for (const int threads : {2, 7}) {
    const auto batches =
        ReadTrain({.seed = 5, .batch_size = 7, .threads = threads, .prefetch_batches = 4}, 23);
    ASSERT_EQ(batches.size(), expected.size());
    for (size_t i = 0; i < batches.size(); ++i) ExpectSame(batches[i], expected[i]);
  }
}

TEST_F(LoaderTest, StartingAtAStepEqualsTheTailOfAWholeRun) {
  OpenShapes(50);
  const auto whole = ReadTrain({.seed = 9, .batch_size = 8, .threads = 2}, 20);
  for (const int64_t first : {1, 5, 6, 13}) {
    const auto tail =
        ReadTrain({.seed = 9, .batch_size = 8, .first_step = first, .threads = 2}, 20 - first);
    for (size_t i = 0; i < tail.size(); ++i) ExpectSame(tail[i], whole[first + i]);
  }
}

TEST_F(LoaderTest, BalancedEpochsKeepTheirLengthAndResumeExactly) {
  config_.mutable_per_class_limit()->Add(0);
  config_.mutable_per_class_limit()->Resize(10, 2);
  config_.set_sampler(vit::v1::SAMPLER_CLASS_BALANCED);
  OpenShapes(100);  // 10 of the first class, 2 of each other
  ASSERT_EQ(data_->size(DataSplit::kTrain), 28);
  const auto whole = ReadTrain({.seed = 9, .batch_size = 8, .threads = 2}, 9);
  const auto tail = ReadTrain({.seed = 9, .batch_size = 8, .first_step = 4, .threads = 3}, 5);
  for (size_t i = 0; i < tail.size(); ++i) ExpectSame(tail[i], whole[4 + i]);
  std::vector<int64_t> expected;
  for (const int64_t epoch : {0, 1, 2}) {
    const auto draws = SampleOrder(*data_, config_).Epoch(9, epoch);
    for (int place = 0; place < 24; ++place) {
      expected.push_back(data_->label(DataSplit::kTrain, draws[place].index));
    }
  }
  std::vector<int64_t> labels;
  for (const Batch& batch : whole) {
    labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
  }
  EXPECT_EQ(labels, expected);
}

TEST_F(LoaderTest, ASampleThatIsDrawnAgainIsAugmentedAnew) {
  OpenShapes(10);
  const auto reader = MakeReader();
  std::vector<uint8_t> first(3 * kSide * kSide), second(first.size()), again(first.size());
  ASSERT_TRUE(*reader->ReadTrain(1, 0, {.index = 4, .copy = 0}, first.data()));
  ASSERT_TRUE(*reader->ReadTrain(1, 0, {.index = 4, .copy = 1}, second.data()));
  ASSERT_TRUE(*reader->ReadTrain(1, 0, {.index = 4, .copy = 1}, again.data()));
  EXPECT_NE(first, second);
  EXPECT_EQ(second, again);
}

TEST_F(LoaderTest, CacheChangesNoBatch) {
  WriteFolder(folder_);
  config_.set_cache(vit::v1::CACHE_MODE_OFF);
  OpenFolder();
  const auto expected = ReadTrain({.batch_size = 8, .threads = 2}, 15);
  config_.set_cache(vit::v1::CACHE_MODE_AUTO);
  for (const int64_t bytes : {int64_t{0}, int64_t{20'000}, int64_t{1} << 30}) {
    config_.set_max_cache_bytes(bytes);
    const auto batches = ReadTrain({.batch_size = 8, .threads = 2}, 15);
    for (size_t i = 0; i < batches.size(); ++i) ExpectSame(batches[i], expected[i]);
  }
}

TEST_F(LoaderTest, DecodingOnlyTheCropChangesNoBatch) {
  for (int i = 0; i < 12; ++i) {
    const Image image = SmoothImage(70 + 10 * i, 150 - 5 * i, i);
    folder_.Write(absl::StrCat("train/a/", i, ".jpg"), Encode(image, ".jpg"));
    folder_.Write(absl::StrCat("train/b/", i, ".jpg"),
                  WithJpegOrientation(Encode(image, ".jpg"), 1 + i % 8));
  }
  folder_.Write("val/a/0.jpg", Encode(SmoothImage(20, 20), ".jpg"));
  folder_.Write("val/b/0.jpg", Encode(SmoothImage(20, 20), ".jpg"));
  config_.mutable_train()->set_crop(vit::v1::TRAIN_CROP_RANDOM_RESIZED);
  OpenFolder();
  const auto kept = ReadTrain({.batch_size = 8, .threads = 2}, 9);
  config_.set_cache(vit::v1::CACHE_MODE_OFF);
  const auto parts = ReadTrain({.batch_size = 8, .threads = 2}, 9);
  config_.set_cache(vit::v1::CACHE_MODE_AUTO);
  config_.set_max_cache_bytes(300'000);  // for some of them
  const auto some = ReadTrain({.batch_size = 8, .threads = 2}, 9);
  ASSERT_EQ(parts.size(), kept.size());
  for (size_t i = 0; i < kept.size(); ++i) {
    ExpectSame(parts[i], kept[i]);
    ExpectSame(some[i], kept[i]);
  }
}

TEST_F(LoaderTest, AFileThatGoesBadLaterIsReportedOnce) {
  WriteFolder(folder_);
  config_.set_cache(vit::v1::CACHE_MODE_OFF);
  OpenFolder();
  const auto reader = MakeReader();
  std::vector<uint8_t> out(3 * kSide * kSide);
  ASSERT_TRUE(*reader->ReadTrain(1, 0, {5}, out.data()));
  const std::string path = data_->name(DataSplit::kTrain, 5);
  std::filesystem::remove(path);
  EXPECT_FALSE(*reader->ReadTrain(1, 1, {5}, out.data()));
  EXPECT_FALSE(*reader->ReadTrain(1, 2, {5}, out.data()));
  EXPECT_EQ(reader->bad_images(DataSplit::kTrain), 1);
  MutexLock lock(&mu_);
  EXPECT_EQ(reported_[path], 1);
}

TEST_F(LoaderTest, KeptImagesAreDecodedOnce) {
  WriteFolder(folder_);
  OpenFolder();
  const auto reader = MakeReader();
  std::vector<uint8_t> before(3 * kSide * kSide), after(before);
  ASSERT_TRUE(*reader->ReadTrain(1, 0, {5}, before.data()));
  std::filesystem::remove(data_->name(DataSplit::kTrain, 5));
  EXPECT_TRUE(*reader->ReadTrain(1, 0, {5}, after.data()));
  EXPECT_EQ(before, after);
}

TEST_F(LoaderTest, WithoutCacheTheImageIsReadAgain) {
  WriteFolder(folder_);
  config_.set_cache(vit::v1::CACHE_MODE_OFF);
  OpenFolder();
  const auto reader = MakeReader();
  std::vector<uint8_t> out(3 * kSide * kSide);
  ASSERT_TRUE(*reader->ReadTrain(1, 0, {5}, out.data()));
  std::filesystem::remove(data_->name(DataSplit::kTrain, 5));
  EXPECT_FALSE(*reader->ReadTrain(1, 0, {5}, out.data()));
}

TEST_F(LoaderTest, AnEpochHoldsEachSampleOnceInTheSeedsOrder) {
  OpenShapes(40);
  const auto batches = ReadTrain({.seed = 3, .batch_size = 10, .threads = 3}, 8);
  for (int epoch = 0; epoch < 2; ++epoch) {
    const std::vector<int64_t> order = ShuffledIndices(3, epoch, 40);
    for (int place = 0; place < 40; ++place) {
      EXPECT_EQ(batches[4 * epoch + place / 10].labels[place % 10],
                data_->label(DataSplit::kTrain, order[place]));
    }
  }
}

TEST_F(LoaderTest, BatchesHoldWhatTheReaderReads) {
  WriteFolder(folder_);
  OpenFolder();
  const auto batches = ReadTrain({.seed = 3, .batch_size = 8, .threads = 2}, 6);
  const auto reader = MakeReader();
  const std::vector<int64_t> order = ShuffledIndices(3, /*epoch=*/1, 40);
  std::vector<uint8_t> expected(3 * kSide * kSide);
  for (int place = 0; place < 8; ++place) {
    ASSERT_TRUE(*reader->ReadTrain(3, /*epoch=*/1, {order[place]}, expected.data()));
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(),
                           batches[5].images.begin() + place * expected.size()));
  }
}

TEST_F(LoaderTest, ABadImageLeavesItsPlaceEmptyAndLaterSamplesDoNotShift) {
  WriteFolder(folder_);
  OpenFolder();
  const TrainLoader::Options options{.seed = 2, .batch_size = 10, .threads = 2};
  const auto whole = ReadTrain(options, 8);
  WriteFolder(folder_, /*bad_train=*/{0, 31});
  config_.set_max_bad_fraction(0.05);
  const auto holed = ReadTrain(options, 8);
  const size_t bytes = 3 * kSide * kSide;
  int holes = 0;
  for (int i = 0; i < 8; ++i) {
    const std::vector<int64_t> order = ShuffledIndices(2, i / 4, 40);
    EXPECT_EQ(holed[i].size, 10);
    EXPECT_EQ(holed[i].images.size(), holed[i].slots.size() * bytes);
    size_t at = 0;
    for (int place = 0; place < 10; ++place) {
      const int64_t sample = order[i % 4 * 10 + place];
      if (sample == 0 || sample == 31) {
        ++holes;
        continue;
      }
      ASSERT_LT(at, holed[i].slots.size());
      EXPECT_EQ(holed[i].slots[at], place);
      EXPECT_EQ(holed[i].labels[at], whole[i].labels[place]);
      EXPECT_TRUE(std::equal(&holed[i].images[at * bytes], &holed[i].images[at * bytes] + bytes,
                             &whole[i].images[place * bytes]));
      ++at;
    }
    EXPECT_EQ(at, holed[i].slots.size());
  }
  EXPECT_EQ(holes, 4);
  MutexLock lock(&mu_);
  EXPECT_THAT(reported_,
              ::testing::ElementsAre(::testing::Pair(::testing::EndsWith("/train/a/100.jpg"), 1),
                                     ::testing::Pair(::testing::EndsWith("/train/b/131.jpg"), 1)));
}

TEST_F(LoaderTest, FilesThatAreNoImagesAreCountedNamedAndLeftOut) {
  WriteFolder(folder_);
  folder_.Write("train/a/notes.jpg", "a text file");
  folder_.Write("train/b/empty.jpg", "");
  config_.set_max_bad_fraction(0.05);
  OpenFolder();
  const auto reader = MakeReader();
  TrainLoader loader(reader.get(), {.batch_size = 42});
  const auto batch = loader.Next({});
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->size, 42);
  EXPECT_EQ(batch->slots.size(), 40u);
  EXPECT_EQ(reader->bad_images(DataSplit::kTrain), 2);
  MutexLock lock(&mu_);
  EXPECT_THAT(reported_, ::testing::ElementsAre(
                             ::testing::Pair(::testing::EndsWith("/train/a/notes.jpg"), 1),
                             ::testing::Pair(::testing::EndsWith("/train/b/empty.jpg"), 1)));
}

TEST_F(LoaderTest, TooManyBadImagesEndTheRunAndAreListed) {
  WriteFolder(folder_, /*bad_train=*/{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  config_.set_max_bad_fraction(0.3);
  OpenFolder();
  const auto reader = MakeReader();
  EXPECT_TRUE(reader->CheckBadFraction(DataSplit::kTrain, {}).ok());
  TrainLoader loader(reader.get(), {.batch_size = 40});
  const auto batch = loader.Next({});
  ASSERT_EQ(batch.status().code(), absl::StatusCode::kInvalidArgument);
  const std::string message(batch.status().message());
  EXPECT_THAT(message, HasSubstr("13 of the 40 training images"));
  EXPECT_THAT(message, HasSubstr("data.max_bad_fraction (0.3)"));
  EXPECT_THAT(message, HasSubstr("JPEG: "));
  int listed = 0;
  for (size_t at = 0; (at = message.find(".jpg", at)) != std::string::npos; ++at) ++listed;
  EXPECT_EQ(listed, 10);
  EXPECT_EQ(reader->bad_images(DataSplit::kTrain), 13);
}

TEST_F(LoaderTest, OverTheLimitFurtherImagesAreReadUntilAllOrTenAreNamed) {
  WriteFolder(folder_, /*bad_train=*/{0, 5, 11, 17, 23});
  config_.set_max_bad_fraction(0.01);
  OpenFolder();
  for (const auto cache : {vit::v1::CACHE_MODE_AUTO, vit::v1::CACHE_MODE_OFF}) {
    config_.set_cache(cache);
    const auto reader = MakeReader();
    std::vector<uint8_t> out(3 * kSide * kSide);
    ASSERT_FALSE(*reader->ReadTrain(1, 0, {5}, out.data()));
    const std::string message(reader->CheckBadFraction(DataSplit::kTrain, {}).message());
    EXPECT_THAT(message, HasSubstr(": 5 of the 40 training images"));
    EXPECT_THAT(message, HasSubstr("vitctl inspect-data folder:" + folder_.root()));
    for (const char* name : {"100.jpg", "105.jpg", "111.jpg", "117.jpg", "123.jpg"}) {
      EXPECT_THAT(message, HasSubstr(name));
    }
  }
  std::stop_source stopped;
  stopped.request_stop();
  const auto reader = MakeReader();
  std::vector<uint8_t> out(3 * kSide * kSide);
  ASSERT_FALSE(*reader->ReadTrain(1, 0, {5}, out.data()));
  EXPECT_THAT(
      std::string(reader->CheckBadFraction(DataSplit::kTrain, stopped.get_token()).message()),
      HasSubstr(": at least 1 of the 40 training images"));
}

TEST_F(LoaderTest, TheLimitHoldsForValidationToo) {
  WriteFolder(folder_, /*bad_train=*/{}, /*bad_val=*/{2, 4});
  config_.set_max_bad_fraction(0.2);
  OpenFolder();
  const auto reader = MakeReader();
  const auto read_all = [&] {
    EvalLoader loader(reader.get(), {.batch_size = 3});
    while (true) {
      const auto batch = loader.Next({});
      if (!batch.ok() || batch->size == 0) return batch.status();
    }
  };
  const absl::Status over = read_all();
  EXPECT_EQ(over.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(over.message()), HasSubstr(": 2 of the 7 validation images"));
  EXPECT_TRUE(reader->CheckBadFraction(DataSplit::kTrain, {}).ok());
  config_.set_max_bad_fraction(0.3);
  EXPECT_TRUE(SampleReader(data_, config_, kSide, nullptr)
                  .CheckBadFraction(DataSplit::kValidation, {})
                  .ok());
  // A run that began before there was such a limit continues.
  config_.set_max_bad_fraction(0.2);
  config_.set_listing_version(1);
  const auto old = MakeReader();
  EvalLoader loader(old.get(), {.batch_size = 7});
  EXPECT_TRUE(loader.Next({}).ok());
  EXPECT_EQ(old->bad_images(DataSplit::kValidation), 2);
}

TEST_F(LoaderTest, AsManyBadImagesAsAdmittedPass) {
  WriteFolder(folder_, /*bad_train=*/{1, 2});
  config_.set_max_bad_fraction(0.05);
  OpenFolder();
  const auto reader = MakeReader();
  TrainLoader loader(reader.get(), {.batch_size = 40});
  ASSERT_TRUE(loader.Next({}).ok());
  EXPECT_EQ(reader->bad_images(DataSplit::kTrain), 2);
  EXPECT_TRUE(reader->CheckBadFraction(DataSplit::kTrain, {}).ok());
}

TEST_F(LoaderTest, EvaluationPassesOverTheSplitInOrderOnce) {
  WriteFolder(folder_, {}, /*bad_val=*/{4});
  config_.set_max_bad_fraction(0.15);
  OpenFolder();
  const auto reader = MakeReader();
  EvalLoader loader(reader.get(), {.batch_size = 3, .threads = 2});
  std::vector<std::vector<int>> slots;
  std::vector<int64_t> labels;
  std::vector<int> sizes;
  std::vector<uint8_t> expected(3 * kSide * kSide);
  for (int index = 0;;) {
    auto batch = loader.Next({});
    ASSERT_TRUE(batch.ok());
    if (batch->size == 0) break;
    sizes.push_back(batch->size);
    slots.push_back(batch->slots);
    labels.insert(labels.end(), batch->labels.begin(), batch->labels.end());
    for (size_t i = 0; i < batch->slots.size(); ++i) {
      ASSERT_TRUE(
          *reader->ReadEval(DataSplit::kValidation, index + batch->slots[i], expected.data()));
      EXPECT_TRUE(
          std::equal(expected.begin(), expected.end(), &batch->images[i * expected.size()]));
    }
    index += batch->size;
  }
  EXPECT_THAT(sizes, ::testing::ElementsAre(3, 3, 1));
  EXPECT_THAT(slots,
              ::testing::ElementsAre(::testing::ElementsAre(0, 1, 2), ::testing::ElementsAre(0, 2),
                                     ::testing::ElementsAre(0)));
  EXPECT_THAT(labels, ::testing::ElementsAre(0, 0, 0, 1, 1, 1));
  // Asked again, it stays at the end. A bad validation image does not count against training.
  EXPECT_EQ(loader.Next({})->size, 0);
  EXPECT_EQ(reader->bad_images(DataSplit::kTrain), 0);
  MutexLock lock(&mu_);
  EXPECT_EQ(reported_.size(), 1);
}

TEST_F(LoaderTest, EvaluationMayHaveASizeOfItsOwn) {
  OpenShapes(4);
  config_.mutable_eval()->set_image_size(2 * kSide);
  const auto reader = MakeReader();
  EvalLoader evaluation(reader.get(), {.batch_size = 2});
  const auto batch = evaluation.Next({});
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->image_size, 2 * kSide);
  EXPECT_EQ(batch->images.size(), 2 * 3 * 4 * kSide * kSide);
  TrainLoader training(reader.get(), {.batch_size = 2});
  EXPECT_EQ(training.Next({})->image_size, kSide);
}

// A data set whose images cannot be read, for a given reason.
class FailingData : public DataSet {
 public:
  explicit FailingData(absl::Status why)
      : DataSet({.class_names = {"only"}}), why_(std::move(why)) {}
  int64_t size(DataSplit) const override { return 8; }
  int64_t label(DataSplit, int64_t) const override { return 0; }
  std::string name(DataSplit, int64_t index) const override { return std::to_string(index); }
  absl::StatusOr<ImagePart> LoadPart(DataSplit, int64_t, const PixelRequest&) const override {
    return why_;
  }

 private:
  const absl::Status why_;
};

TEST(LoaderFailureTest, AMachineThatRunsOutEndsTheLoadingAndBlamesNoImage) {
  vit::v1::DataConfig config;
  config.set_max_bad_fraction(1);
  std::atomic<int> reported = 0;
  const auto first_batch = [&](const absl::Status& why, bool training) {
    const auto data = std::make_shared<FailingData>(why);
    FillDefaultsFor(*data, kSide, &config);
    SampleReader reader(data, config, kSide, [&](const BadImage&) { ++reported; });
    if (training) return TrainLoader(&reader, {.batch_size = 4}).Next({});
    return EvalLoader(&reader, {.batch_size = 4}).Next({});
  };
  for (const bool training : {true, false}) {
    const auto ended = first_batch(absl::ResourceExhaustedError("decode: out of memory"), training);
    EXPECT_EQ(ended.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(ended.status().message()), HasSubstr("decode: out of memory"));
    EXPECT_EQ(reported, 0);
  }
  const auto empty = first_batch(OverLimitError("70 bytes, over the limit of 64"), true);
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_EQ(empty->labels.size(), 0);
  EXPECT_GT(reported, 0);
}

// A data set whose images are all unreadable; who asks first for the last one's name waits.
class SlowlyNamedData : public FailingData {
 public:
  SlowlyNamedData() : FailingData(absl::InvalidArgumentError("no image")) {}
  std::string name(DataSplit split, int64_t index) const override {
    if (index == size(split) - 1 && !asked_.exchange(true)) {
      waiting.Notify();
      released.WaitForNotification();
    }
    return FailingData::name(split, index);
  }
  mutable absl::Notification waiting, released;

 private:
  mutable std::atomic<bool> asked_ = false;
};

TEST(LoaderFailureTest, AnImageThatAnotherThreadReportsIsCountedInTheRefusal) {
  const auto data = std::make_shared<SlowlyNamedData>();
  vit::v1::DataConfig config;
  config.set_max_bad_fraction(0);
  FillDefaultsFor(*data, kSide, &config);
  SampleReader reader(data, config, kSide, nullptr);
  const auto read = [&](int64_t index) {
    std::vector<uint8_t> out(3 * kSide * kSide);
    const auto known = reader.ReadEval(DataSplit::kValidation, index, out.data());
    EXPECT_TRUE(known.ok() && !*known);
  };
  std::thread other(read, data->size(DataSplit::kValidation) - 1);
  data->waiting.WaitForNotification();
  read(0);
  const absl::Status refusal = reader.CheckBadFraction(DataSplit::kValidation, {});
  data->released.Notify();
  other.join();
  EXPECT_THAT(std::string(refusal.message()), HasSubstr("8 of the 8 validation images"));
  EXPECT_EQ(reader.bad_images(DataSplit::kValidation), 8);
}

// A data set whose images are ready only once they are let through.
class GatedData : public DataSet {
 public:
  explicit GatedData(int64_t size)
      : DataSet({.class_names = {"only"}, .native_size = kSide}), size_(size) {}
  int64_t size(DataSplit) const override { return size_; }
  int64_t label(DataSplit, int64_t) const override { return 0; }
  std::string name(DataSplit, int64_t index) const override { return std::to_string(index); }
  absl::StatusOr<ImagePart> LoadPart(DataSplit, int64_t,
                                     const PixelRequest& request) const override {
    MutexLock lock(&mu_);
    ++waiting_;
    changed_.NotifyAll();
    while (!open_ && tickets_ == 0) changed_.Wait(&mu_);
    if (!open_) --tickets_;
    --waiting_;
    ++loaded_;
    return WholePart(SmoothImage(kSide, kSide), request);
  }
  // Returns once `count` threads are inside Load.
  void AwaitWaiting(int count) const {
    MutexLock lock(&mu_);
    while (waiting_ < count) changed_.Wait(&mu_);
  }
  void OpenGate() const {
    MutexLock lock(&mu_);
    open_ = true;
    changed_.NotifyAll();
  }
  // Lets one waiting thread through; false, letting none through, once CloseForGood was called.
  bool AdmitOne() const {
    MutexLock lock(&mu_);
    while (!closed_ && waiting_ <= tickets_) changed_.Wait(&mu_);
    if (closed_) return false;
    ++tickets_;
    changed_.NotifyAll();
    return true;
  }
  void CloseForGood() const {
    MutexLock lock(&mu_);
    closed_ = true;
    changed_.NotifyAll();
  }
  int loaded() const {
    MutexLock lock(&mu_);
    return loaded_;
  }

 private:
  const int64_t size_;
  mutable Mutex mu_;
  mutable CondVar changed_;
  mutable bool open_ VIT_GUARDED_BY(mu_) = false;
  mutable bool closed_ VIT_GUARDED_BY(mu_) = false;
  mutable int tickets_ VIT_GUARDED_BY(mu_) = 0;
  mutable int waiting_ VIT_GUARDED_BY(mu_) = 0;
  mutable int loaded_ VIT_GUARDED_BY(mu_) = 0;
};

class GatedLoaderTest : public LoaderTest {
 protected:
  void UseGate(int64_t size) {
    gate_ = std::make_shared<GatedData>(size);
    data_ = gate_;
    FillDefaultsFor(*data_, kSide, &config_);
  }
  std::shared_ptr<GatedData> gate_;
};

TEST_F(GatedLoaderTest, AllThreadsShareOneBatch) {
  UseGate(8);
  const auto reader = MakeReader();
  TrainLoader loader(reader.get(), {.batch_size = 8, .threads = 4, .prefetch_batches = 1});
  gate_->AwaitWaiting(4);
  gate_->OpenGate();
  EXPECT_TRUE(loader.Next({}).ok());
}

TEST_F(GatedLoaderTest, StopDuringNextReturnsCancelled) {
  UseGate(8);
  const auto reader = MakeReader();
  TrainLoader loader(reader.get(), {.batch_size = 8});
  gate_->AwaitWaiting(1);
  std::stop_source stop;
  absl::Status result;
  std::thread consumer([&] { result = loader.Next(stop.get_token()).status(); });
  stop.request_stop();
  consumer.join();
  EXPECT_EQ(result.code(), absl::StatusCode::kCancelled);
  gate_->OpenGate();
}

TEST_F(GatedLoaderTest, StoppedBeforehandReturnsCancelledAndLosesNoBatch) {
  UseGate(8);
  gate_->OpenGate();
  const auto reader = MakeReader();
  TrainLoader loader(reader.get(), {.batch_size = 4});
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(loader.Next(stop.get_token()).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(loader.Next({})->step, 0);
}

TEST_F(GatedLoaderTest, NoMoreThanThePrefetchedBatchesAreMade) {
  UseGate(1000);
  config_.set_cache(vit::v1::CACHE_MODE_OFF);
  gate_->OpenGate();
  const auto reader = MakeReader();
  {
    TrainLoader loader(reader.get(), {.batch_size = 10, .threads = 2, .prefetch_batches = 3});
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(loader.Next({}).ok());
  }
  EXPECT_GE(gate_->loaded(), 50);
  EXPECT_LE(gate_->loaded(), 80);
}

TEST_F(GatedLoaderTest, DestructionWaitsForTheImagesInHandOnly) {
  UseGate(1000);
  config_.set_cache(vit::v1::CACHE_MODE_OFF);
  const auto reader = MakeReader();
  auto loader = std::make_unique<TrainLoader>(
      reader.get(), TrainLoader::Options{.batch_size = 500, .threads = 3, .prefetch_batches = 4});
  gate_->AwaitWaiting(3);
  std::thread destroyer([&] {
    loader.reset();
    gate_->CloseForGood();
  });
  // One image at a time, until the loader is destroyed: a thread that sees the stop takes no
  // further image.
  int admitted = 0;
  while (gate_->AdmitOne()) ++admitted;
  destroyer.join();
  EXPECT_GE(admitted, 3);
  EXPECT_LT(admitted, 1000);  // of the 2000 that were planned
}

TEST_F(GatedLoaderTest, ASplitSmallerThanABatchIsAnError) {
  UseGate(3);
  gate_->OpenGate();
  const auto reader = MakeReader();
  TrainLoader loader(reader.get(), {.batch_size = 4});
  EXPECT_EQ(loader.Next({}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vit
