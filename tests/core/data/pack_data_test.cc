// Packed data: written by PackData, read as packed:PATH.
#include "core/data/tools/pack_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/data/data_config.h"
#include "core/data/image/transform.h"
#include "core/data/loader/loader.h"
#include "core/data/sources/pack_format.h"
#include "tests/core/data/testing.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using DataSetPtr = std::shared_ptr<const DataSet>;

void Ignore(const PackProgress&) {}

class PackDataTest : public ::testing::Test {
 protected:
  PackDataTest() : file_(folder_.path() / "pets.vitpack") {}

  // 12 JPEGs and 8 PNGs for training, 3 PNGs for validation.
  void WriteFolder() {
    for (int i = 0; i < 20; ++i) {
      folder_.Write(absl::StrCat("pets/train/", i < 12 ? "cat/" : "dog/", 100 + i, ".jpg"),
                    Encode(SmoothImage(60 + i, 40, i), i < 12 ? ".jpg" : ".png"));
    }
    for (int i = 0; i < 3; ++i) {
      folder_.Write(absl::StrCat("pets/val/cat/", i, ".png"),
                    Encode(SmoothImage(30, 50, i), ".png"));
    }
  }
  std::string Pets() const { return absl::StrCat("folder:", folder_.root(), "/pets"); }
  std::string Packed() const { return absl::StrCat("packed:", file_.string()); }

  absl::StatusOr<DataSetPtr> Open(const std::string& source, bool whole = true) {
    vit::v1::DataConfig config;
    config.set_source(source);
    config.mutable_shapes()->set_train_size(50);
    config.mutable_shapes()->set_val_size(10);
    const DataSetOptions options = {.data_roots = {folder_.root()}};
    return whole ? DataSet::OpenWhole(config, options) : DataSet::Open(config, options);
  }
  absl::Status Pack(const std::string& source, const PackOptions& options = {},
                    const std::function<void(const PackProgress&)>& on_progress = Ignore,
                    const std::stop_token& stop = {}) {
    const auto data = Open(source);
    EXPECT_TRUE(data.ok()) << data.status();
    return PackData(**data, file_, options, stop, on_progress);
  }
  std::string Bytes() const { return *ReadFile(file_, 1 << 30); }
  std::string OpenError(absl::StatusCode code = absl::StatusCode::kDataLoss) {
    const absl::Status status = Open(Packed()).status();
    EXPECT_EQ(status.code(), code) << status;
    return std::string(status.message());
  }

  TemporaryFolder folder_;
  const fs::path file_;
};

TEST_F(PackDataTest, HoldsEverySampleAsItsSourceHasIt) {
  WriteFolder();
  std::vector<PackProgress> progress;
  ASSERT_TRUE(Pack(Pets(), {}, [&](const PackProgress& now) { progress.push_back(now); }).ok());
  EXPECT_EQ(progress.back().samples, 23);
  EXPECT_EQ(progress.back().total, 23);
  EXPECT_EQ(progress.back().bytes, static_cast<int64_t>(fs::file_size(file_)));
  EXPECT_EQ(progress.back().unreadable, 0);
  const DataSetPtr source = *Open(Pets());
  const auto packed = Open(Packed());
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_EQ((*packed)->class_names(), source->class_names());
  for (const DataSplit split : {DataSplit::kTrain, DataSplit::kValidation}) {
    ASSERT_EQ((*packed)->size(split), source->size(split));
    for (int64_t i = 0; i < source->size(split); ++i) {
      EXPECT_EQ((*packed)->label(split, i), source->label(split, i));
      EXPECT_EQ((*packed)->name(split, i),
                absl::StrCat(file_.string(), ":", source->name(split, i)));
      EXPECT_EQ(*(*packed)->ReadEncoded(split, i), *source->ReadEncoded(split, i));
    }
  }
  EXPECT_FALSE(fs::exists(file_.string() + ".partial"));
  EXPECT_FALSE(fs::exists(file_.string() + ".partial.log"));
}

TEST_F(PackDataTest, ARunSeesTheSameImagesAsFromTheFolder) {
  WriteFolder();
  fs::remove_all(folder_.path() / "pets/val");  // so that a part is held out
  ASSERT_TRUE(Pack(Pets()).ok());
  std::vector<Batch> batches[2];
  for (const bool packed : {false, true}) {
    const DataSetPtr data = *Open(packed ? Packed() : Pets(), /*whole=*/false);
    EXPECT_EQ(data->size(DataSplit::kValidation), 2);
    vit::v1::DataConfig config;
    FillDefaultsFor(*data, 16, &config);
    SampleReader reader(data, config, 16, nullptr);
    TrainLoader loader(&reader, {.seed = 4, .batch_size = 6, .threads = 2});
    for (int i = 0; i < 7; ++i) batches[packed].push_back(*loader.Next({}));
  }
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(batches[0][i].labels, batches[1][i].labels);
    EXPECT_TRUE(std::equal(batches[0][i].images.begin(), batches[0][i].images.end(),
                           batches[1][i].images.begin(), batches[1][i].images.end()));
  }
}

TEST_F(PackDataTest, BarePixelsStayBare) {
  ASSERT_TRUE(Pack("shapes:").ok());
  const DataSetPtr source = *Open("shapes:");
  const DataSetPtr packed = *Open(Packed());
  EXPECT_EQ(packed->native_size(), 32);
  EXPECT_EQ(packed->size(DataSplit::kValidation), 10);
  for (int64_t i = 0; i < 50; ++i) {
    EXPECT_EQ(MaxDifference(*packed->Load(DataSplit::kTrain, i, 0),
                            *source->Load(DataSplit::kTrain, i, 0)),
              0);
  }
  EXPECT_EQ(packed->ReadEncoded(DataSplit::kTrain, 0).status().code(),
            absl::StatusCode::kUnimplemented);
}

TEST_F(PackDataTest, MaxSideShrinksWhatIsLarger) {
  folder_.Write("pets/a/1.jpg",
                WithJpegOrientation(Encode(SmoothImage(640, 320), ".jpg"), /*orientation=*/6));
  folder_.Write("pets/a/2.png", Encode(SmoothImage(300, 900), ".png"));
  folder_.Write("pets/a/3.png", Encode(SmoothImage(100, 80), ".png"));
  folder_.Write("pets/a/4.jpg", "no image");
  PackProgress last;
  ASSERT_TRUE(Pack(Pets(), {.max_side = 100}, [&](const PackProgress& now) { last = now; }).ok());
  EXPECT_EQ(last.unreadable, 1);
  EXPECT_THAT(last.first_unreadable, ElementsAre(HasSubstr("pets/a/4.jpg (")));
  const DataSetPtr packed = *Open(Packed());
  const Image first = *packed->Load(DataSplit::kTrain, 0, 0);
  EXPECT_EQ(std::pair(first.width, first.height), std::pair(50, 100));  // upright
  const Image second = *packed->Load(DataSplit::kTrain, 1, 0);
  EXPECT_EQ(std::pair(second.width, second.height), std::pair(33, 100));
  EXPECT_LT(
      MaxDifference(second, Resize(SmoothImage(300, 900), 33, 100, vit::v1::INTERPOLATION_BICUBIC)),
      24);  // JPEG
  EXPECT_EQ(*packed->ReadEncoded(DataSplit::kTrain, 2), Encode(SmoothImage(100, 80), ".png"));
  EXPECT_EQ(*packed->ReadEncoded(DataSplit::kTrain, 3), "no image");
}

TEST_F(PackDataTest, ImagesTouchAsFewPagesAsTheyCan) {
  EXPECT_EQ(PackOffset(4096, 0), 4096);
  EXPECT_EQ(PackOffset(4096, 10000), 4096);
  EXPECT_EQ(PackOffset(4097, 4095), 4097);
  EXPECT_EQ(PackOffset(4097, 4096), 8192);
  EXPECT_EQ(PackOffset(8000, 192), 8000);
  EXPECT_EQ(PackOffset(8000, 193), 8192);
}

TEST_F(PackDataTest, AnAttemptThatWasKilledIsContinued) {
  WriteFolder();
  ASSERT_TRUE(Pack(Pets()).ok());
  const std::string whole = Bytes();
  fs::remove(file_);
  const PackOptions options = {.batch_samples = 4};
  const pid_t child = fork();
  if (child == 0) {
    // As SIGKILL would: nothing is flushed or cleaned up.
    (void)Pack(Pets(), options, [](const PackProgress& now) {
      if (now.samples == 12) _exit(0);
    });
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_FALSE(fs::exists(file_));
  PackProgress last;
  ASSERT_TRUE(Pack(Pets(), options, [&](const PackProgress& now) { last = now; }).ok());
  EXPECT_EQ(last.resumed_from, 12);
  EXPECT_TRUE(Bytes() == whole);
}

TEST_F(PackDataTest, AStoppedAttemptIsContinuedFromWhereItWas) {
  WriteFolder();
  std::stop_source stop;
  const PackOptions options = {.batch_samples = 5};
  const absl::Status stopped = Pack(
      Pets(), options,
      [&](const PackProgress& now) {
        if (now.samples >= 10) stop.request_stop();
      },
      stop.get_token());
  EXPECT_EQ(stopped.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(std::string(stopped.message()), HasSubstr("after 10 of 23 images"));
  // What the log does not record completely is written again: here, half of the last record.
  const fs::path log = file_.string() + ".partial.log";
  fs::resize_file(log, fs::file_size(log) - 20);
  PackProgress last;
  ASSERT_TRUE(Pack(Pets(), options, [&](const PackProgress& now) { last = now; }).ok());
  EXPECT_EQ(last.resumed_from, 9);
  EXPECT_TRUE(Open(Packed()).ok());
}

TEST_F(PackDataTest, OtherImagesOrOptionsStartAnew) {
  WriteFolder();
  const auto stop_after_ten = [&] {
    std::stop_source stop;
    const absl::Status stopped = Pack(
        Pets(), {.batch_samples = 5},
        [&](const PackProgress& now) {
          if (now.samples >= 10) stop.request_stop();
        },
        stop.get_token());
    EXPECT_EQ(stopped.code(), absl::StatusCode::kCancelled);
  };
  PackProgress last;
  const auto keep_last = [&](const PackProgress& now) { last = now; };
  stop_after_ten();
  ASSERT_TRUE(Pack(Pets(), {.max_side = 32}, keep_last).ok());
  EXPECT_EQ(last.resumed_from, 0);
  EXPECT_EQ((*Open(Packed()))->Load(DataSplit::kTrain, 0, 0)->width, 32);
  fs::remove(file_);
  stop_after_ten();
  fs::remove(folder_.path() / "pets/train/cat/100.jpg");
  ASSERT_TRUE(Pack(Pets(), {}, keep_last).ok());
  EXPECT_EQ(last.resumed_from, 0);
  EXPECT_EQ((*Open(Packed()))->size(DataSplit::kTrain), 19);
  // So few images that the old log is longer than theirs can be.
  fs::remove(file_);
  stop_after_ten();
  for (const char* folder : {"pets/train/cat", "pets/train/dog"}) {
    int kept = 0;
    for (const auto& entry : fs::directory_iterator(folder_.path() / folder)) {
      if (++kept > 2) fs::remove(entry.path());
    }
  }
  const absl::Status packed = Pack(Pets(), {}, keep_last);
  ASSERT_TRUE(packed.ok()) << packed;
  EXPECT_EQ(last.resumed_from, 0);
}

TEST_F(PackDataTest, NeverReplacesAFile) {
  WriteFolder();
  folder_.Write("pets.vitpack", "precious");
  EXPECT_EQ(Pack(Pets()).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Bytes(), "precious");
}

TEST_F(PackDataTest, ADamagedImageIsFoundByItsChecksum) {
  WriteFolder();
  ASSERT_TRUE(Pack(Pets()).ok());
  std::string bytes = Bytes();
  const std::string image = *(*Open(Pets()))->ReadEncoded(DataSplit::kTrain, 3);
  const size_t at = bytes.find(image);
  ASSERT_NE(at, std::string::npos);
  bytes[at + image.size() / 2] ^= 1;
  folder_.Write("pets.vitpack", bytes);
  const auto packed = Open(Packed());
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_EQ((*packed)->Load(DataSplit::kTrain, 3, 0).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE((*packed)->Load(DataSplit::kTrain, 2, 0).ok());
}

TEST_F(PackDataTest, FingerprintFollowsWhatIsPacked) {
  WriteFolder();
  ASSERT_TRUE(Pack(Pets()).ok());
  const std::string before = (*Open(Packed()))->fingerprint();
  fs::remove(file_);
  folder_.Write("pets/train/cat/100.jpg", Encode(SmoothImage(60, 40, 77), ".jpg"));
  ASSERT_TRUE(Pack(Pets()).ok());
  EXPECT_NE((*Open(Packed()))->fingerprint(), before);
}

TEST_F(PackDataTest, FilesThatAreNoPackedDataAreRefused) {
  WriteFolder();
  ASSERT_TRUE(Pack(Pets()).ok());
  const std::string whole = Bytes();
  const PackHeader header = *PackHeader::Parse(whole.substr(0, kPackPageBytes));
  // Applies `change` to the header and corrects its checksum.
  const auto with_header = [&](const std::function<void(PackHeader*)>& change) {
    PackHeader changed = header;
    change(&changed);
    return changed.Serialize() + whole.substr(kPackPageBytes);
  };
  // Applies `change` to the first sample's entry and corrects the checksums.
  const size_t entry_at = header.index_offset + 4 + 3 + 4 + 3;  // after "cat" and "dog"
  const auto with_entry = [&](const std::function<void(PackEntry*)>& change) {
    PackEntry entry = PackEntry::Parse(whole.substr(entry_at, PackEntry::kBytes));
    change(&entry);
    std::string text, bytes = whole;
    entry.AppendTo(&text);
    bytes.replace(entry_at, PackEntry::kBytes, text);
    PackHeader changed = header;
    changed.index_crc = PackCrc(absl::string_view(bytes).substr(header.index_offset));
    bytes.replace(0, kPackPageBytes, changed.Serialize());
    return bytes;
  };
  std::string flipped = whole;
  flipped[header.index_offset + 20] ^= 1;
  for (const auto& [bytes, error] : {
           std::pair{std::string(), "the header is not that of packed data"},
           {std::string("VITPACK1"), "the header is not that of packed data"},
           {std::string(5000, '\0'), "the header is not that of packed data"},
           {whole.substr(0, whole.size() - 1), "the index goes beyond the file's end"},
           {flipped, "the index's checksum is wrong"},
           {with_header([](PackHeader* h) { h->index_offset = ~uint64_t{0}; }),
            "beyond the file's"},
           {with_header([](PackHeader* h) { h->index_bytes = ~uint64_t{0}; }), "beyond the file's"},
           {with_header([](PackHeader* h) { h->train_samples = ~uint64_t{0}; }), "more than the"},
           {with_header([](PackHeader* h) { h->validation_samples = ~uint64_t{0}; }), "more than"},
           {with_header([](PackHeader* h) { h->train_samples = 20000; }),
            "more than the index can"},
           {with_header([](PackHeader* h) { h->classes = ~uint32_t{0}; }),
            "more than the index can"},
           {with_header([](PackHeader* h) { h->classes = 0; }), "more than the index can"},
           {with_header([](PackHeader* h) { h->classes = 3; }), "a class name is cut off"},
           {with_entry([](PackEntry* e) { e->offset = ~uint64_t{0}; }), "an image goes beyond"},
           {with_entry([](PackEntry* e) { e->size = ~uint32_t{0}; }), "an image goes beyond"},
           {with_entry([](PackEntry* e) { e->label = 2; }), "a class that does not exist"},
           {with_entry([](PackEntry* e) { e->width = 7; }), "contradicts its width and height"},
           {with_entry([](PackEntry* e) { e->width = e->height = 65535; }),
            "contradicts its width"},
           {with_entry([](PackEntry* e) { e->name_offset = 1 << 30; }), "a name goes beyond"},
       }) {
    folder_.Write("pets.vitpack", bytes);
    EXPECT_THAT(OpenError(), HasSubstr(error));
  }
  // A name that extends beyond the index is shown as far as it goes.
  folder_.Write("pets.vitpack", with_entry([&](PackEntry* e) { e->name_offset = 1; }));
  EXPECT_TRUE(absl::StartsWith((*Open(Packed()))->name(DataSplit::kTrain, 0), file_.string()));
}

TEST_F(PackDataTest, OptionsAreChecked) {
  WriteFolder();
  EXPECT_THAT(std::string(Pack(Pets(), {.max_side = -1}).message()), HasSubstr("max_side is -1"));
  EXPECT_THAT(std::string(Pack(Pets(), {.max_side = 3}).message()), HasSubstr("max_side is 3"));
  EXPECT_THAT(std::string(Pack(Pets(), {.jpeg_quality = 101}).message()),
              HasSubstr("jpeg_quality is 101"));
  OpenError(absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace vit
