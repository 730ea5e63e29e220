#include "core/runs/events/tensorboard_log.h"

#include <unistd.h>

#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "proto/time.h"
#include "tensorboard/event.pb.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using vit::v1::MetricPoint;

std::array<uint32_t, 256> MakeCrcTable() {
  constexpr uint32_t kPolynomial = 0x82F63B78;  // reflected
  std::array<uint32_t, 256> table;
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    table[i] = crc;
  }
  return table;
}

// Masks the CRC as TFRecord does, so that a CRC of data that holds CRCs is no special case.
uint32_t MaskedCrc(absl::string_view data) {
  const uint32_t crc = Crc32c(data);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8;
}

template <typename T>
std::string LittleEndian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(T); ++i) {
    bytes.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
  }
  return bytes;
}

std::string Record(const tensorboard::Event& event) {
  const std::string data = event.SerializeAsString();
  const std::string length = LittleEndian<uint64_t>(data.size());
  return absl::StrCat(length, LittleEndian(MaskedCrc(length)), data, LittleEndian(MaskedCrc(data)));
}

tensorboard::Event NewEvent(absl::Time time, int64_t step) {
  tensorboard::Event event;
  event.set_wall_time(static_cast<double>(absl::ToUnixMicros(time)) / 1e6);
  event.set_step(step);
  return event;
}

void FillSummary(const MetricPoint& point, tensorboard::Summary* summary) {
  const bool train = point.split() == vit::v1::SPLIT_TRAIN;
  const auto add = [&](absl::string_view name, double number) {
    tensorboard::Summary::Value* value = summary->add_value();
    value->set_tag(absl::StrCat(train ? "train/" : "validation/", name));
    value->set_simple_value(static_cast<float>(number));
  };
  add("loss", point.loss());
  add("accuracy", point.accuracy());
  if (train) {
    add("learning_rate", point.learning_rate());
    add("grad_norm", point.grad_norm());
    add("images_per_second", point.images_per_second());
  }
  if (!point.has_evaluation()) return;
  const vit::v1::EvaluationMetrics& evaluation = point.evaluation();
  add("top_k_accuracy", evaluation.top_k_accuracy());
  add("precision", evaluation.precision());
  add("recall", evaluation.recall());
  add("f1", evaluation.f1());
  add("precision_weighted", evaluation.precision_weighted());
  add("f1_weighted", evaluation.f1_weighted());
  add("calibration_error", evaluation.calibration_error());
}

}  // namespace

uint32_t Crc32c(absl::string_view data) {
  static const std::array<uint32_t, 256> table = MakeCrcTable();
  uint32_t crc = ~uint32_t{0};
  for (const char c : data) crc = table[(crc ^ static_cast<uint8_t>(c)) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

absl::StatusOr<std::unique_ptr<TensorBoardLog>> TensorBoardLog::Start(const fs::path& directory,
                                                                      int64_t step,
                                                                      absl::Time now) {
  VIT_RETURN_IF_ERROR(CreateDirectories(directory));
  // TensorBoard reads a folder's files in the order of their names, so the time comes first. No
  // start reuses the file of an earlier one.
  fs::path path;
  for (int number = 0; path.empty() || fs::exists(path); ++number) {
    path = directory / absl::StrFormat("events.out.tfevents.%010d.vitd.%d.%d",
                                       absl::ToUnixSeconds(now), getpid(), number);
  }
  VIT_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(path));
  std::unique_ptr<TensorBoardLog> log(new TensorBoardLog(std::move(file)));
  tensorboard::Event version = NewEvent(now, 0);
  version.set_file_version("brain.Event:2");
  tensorboard::Event start = NewEvent(now, step + 1);
  start.mutable_session_log()->set_status(tensorboard::SessionLog::START);
  VIT_RETURN_IF_ERROR(log->Write(Record(version)));
  VIT_RETURN_IF_ERROR(log->Write(Record(start)));
  return log;
}

absl::Status TensorBoardLog::Add(const MetricPoint& point) {
  if (failed_) return absl::OkStatus();
  tensorboard::Event event = NewEvent(FromProto(point.time()), point.step());
  FillSummary(point, event.mutable_summary());
  return Write(Record(event));
}

absl::Status TensorBoardLog::Write(const std::string& record) {
  const absl::Status written = file_.Append(record);
  failed_ = !written.ok();
  return written;
}

}  // namespace vit
