#include "core/tensor_file/safetensors_header.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/tensor_file/json_events.h"
#include "core/tensor_file/tensor_bytes.h"

namespace vit {
namespace {

constexpr char kMetadata[] = "__metadata__";

struct DtypeName {
  const char* name;
  at::ScalarType type;
};
constexpr DtypeName kDtypes[] = {
    {"F64", at::kDouble}, {"F32", at::kFloat}, {"F16", at::kHalf},  {"BF16", at::kBFloat16},
    {"I64", at::kLong},   {"I32", at::kInt},   {"I16", at::kShort}, {"I8", at::kChar},
    {"U8", at::kByte},    {"BOOL", at::kBool},
};

absl::Status Bad(absl::string_view tensor, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("tensor ", Quoted(tensor), ": ", why));
}

// {"name": {"dtype": text, "shape": [whole...], "data_offsets": [whole, whole]}...,
//  "__metadata__": {text: text...}}
class HeaderReader : public JsonEvents {
 public:
  SafetensorsHeader Take() { return std::move(header_); }

  absl::Status Start(bool is_object) override {
    switch (depth_) {
      case 0:
        break;  // an object: the caller looked at its first byte
      case 1:
        if (!is_object) return Unexpected();
        break;
      case 2:
        if (in_metadata_ || is_object || (field_ != "shape" && field_ != "data_offsets")) {
          return Unexpected();
        }
        break;
      default:
        return Unexpected();
    }
    ++depth_;
    return absl::OkStatus();
  }

  absl::Status Key(std::string key) override {
    if (depth_ == 2) {
      field_ = std::move(key);
      return in_metadata_ ? absl::OkStatus() : CheckField();
    }
    name_ = std::move(key);
    in_metadata_ = name_ == kMetadata;
    fields_seen_.clear();
    entry_ = {};
    offsets_.clear();
    if (in_metadata_ ? std::exchange(metadata_seen_, true) : header_.entries.contains(name_)) {
      return absl::InvalidArgumentError(absl::StrCat("the header names ", Quoted(name_), " twice"));
    }
    return absl::OkStatus();
  }

  absl::Status End() override {
    if (depth_ == 3 && field_ == "data_offsets" && offsets_.size() != 2) return Unexpected();
    if (depth_ == 2 && !in_metadata_) {
      if (fields_seen_.size() != 3) return Unexpected();
      entry_.begin = offsets_[0];
      entry_.end = offsets_[1];
      header_.entries.emplace(name_, std::move(entry_));
    }
    --depth_;
    return absl::OkStatus();
  }

  absl::Status Text(std::string text) override {
    if (depth_ == 2 && in_metadata_) {
      if (!header_.metadata.emplace(field_, std::move(text)).second) {
        return absl::InvalidArgumentError(
            absl::StrCat(kMetadata, " names ", Quoted(field_), " twice"));
      }
      return absl::OkStatus();
    }
    if (depth_ != 2 || field_ != "dtype") return Unexpected();
    const auto* const known =
        std::find_if(std::begin(kDtypes), std::end(kDtypes),
                     [&](const DtypeName& dtype) { return text == dtype.name; });
    if (known == std::end(kDtypes)) {
      return Bad(name_, absl::StrCat("unsupported dtype ", Quoted(text),
                                     "; convert it, for example to F32, F16 or BF16"));
    }
    entry_.type = known->type;
    return absl::OkStatus();
  }

  absl::Status Whole(uint64_t number) override {
    if (depth_ != 3) return Unexpected();
    if (field_ == "data_offsets") {
      if (offsets_.size() == 2) return Unexpected();
      offsets_.push_back(number);
      return absl::OkStatus();
    }
    if (entry_.shape.size() == kMaxDimensions) {
      return Bad(name_, absl::StrCat("more than ", kMaxDimensions, " dimensions"));
    }
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Bad(name_, "shape overflows");
    }
    entry_.shape.push_back(static_cast<int64_t>(number));
    return absl::OkStatus();
  }

  absl::Status Other() override {
    if (depth_ != 3) return Unexpected();
    return Bad(name_, absl::StrCat(field_ == "shape" ? "a dimension" : "an offset",
                                   " is not a whole number of at least 0"));
  }

 private:
  absl::Status CheckField() {
    if (field_ != "dtype" && field_ != "shape" && field_ != "data_offsets") {
      return Bad(name_, absl::StrCat("unknown field ", Quoted(field_)));
    }
    if (std::find(fields_seen_.begin(), fields_seen_.end(), field_) != fields_seen_.end()) {
      return Bad(name_, absl::StrCat(field_, " is given twice"));
    }
    fields_seen_.push_back(field_);
    return absl::OkStatus();
  }

  // A value of a kind that is not allowed at this place.
  absl::Status Unexpected() const {
    if (in_metadata_) {
      return absl::InvalidArgumentError(absl::StrCat(
          kMetadata, depth_ == 1 ? " is not an object" : " holds a value that is not text"));
    }
    return Bad(name_, "expected dtype, shape and two data_offsets");
  }

  SafetensorsHeader header_;
  int depth_ = 0;  // 1 in the header, 2 in a tensor's object or the metadata, 3 in an array
  bool metadata_seen_ = false;
  // The entry being read.
  std::string name_, field_;
  bool in_metadata_ = false;
  SafetensorsHeader::Entry entry_;
  std::vector<uint64_t> offsets_;
  std::vector<std::string> fields_seen_;
};

absl::Status CheckRange(const std::string& name, const SafetensorsHeader::Entry& entry,
                        uint64_t data_bytes) {
  const std::optional<uint64_t> bytes = ByteSize(entry.shape, c10::elementSize(entry.type));
  if (!bytes) return Bad(name, "shape overflows");
  if (entry.begin > entry.end || entry.end > data_bytes) {
    return Bad(name, absl::StrCat("offsets ", entry.begin, " to ", entry.end,
                                  " are outside the file's ", data_bytes, " bytes of data"));
  }
  if (entry.end - entry.begin != *bytes) {
    return Bad(name, absl::StrCat("shape ", ShapeText(entry.shape), " of ",
                                  SafetensorsDtype(entry.type), " needs ", *bytes,
                                  " bytes, the offsets give ", entry.end - entry.begin));
  }
  return absl::OkStatus();
}

// Checks that the ranges, one after the other, cover the whole data.
absl::Status CheckCover(const SafetensorsHeader& header, uint64_t data_bytes) {
  std::vector<std::tuple<uint64_t, uint64_t, const std::string*>> ranges;
  ranges.reserve(header.entries.size());
  for (const auto& [name, entry] : header.entries) {
    ranges.emplace_back(entry.begin, entry.end, &name);
  }
  std::sort(ranges.begin(), ranges.end());
  uint64_t covered = 0;
  for (const auto& [begin, end, name] : ranges) {
    if (begin < covered) return Bad(*name, "its values overlap another tensor's");
    if (begin > covered) {
      return Bad(*name, absl::StrCat("there is a hole before its values: bytes ", covered, " to ",
                                     begin, " of the data belong to no tensor"));
    }
    covered = end;
  }
  if (covered != data_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the tensors take ", covered, " bytes, the file holds ", data_bytes, " bytes of data"));
  }
  return absl::OkStatus();
}

}  // namespace

const char* SafetensorsDtype(at::ScalarType type) {
  for (const DtypeName& dtype : kDtypes) {
    if (dtype.type == type) return dtype.name;
  }
  return nullptr;
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view text,
                                                         uint64_t data_bytes) {
  if (text.empty() || text.front() != '{') {
    return absl::InvalidArgumentError("the header is not a JSON object: it does not begin with {");
  }
  HeaderReader reader;
  VIT_RETURN_IF_ERROR(Annotate(ParseJson(text, &reader), "header"));
  SafetensorsHeader header = reader.Take();
  for (const auto& [name, entry] : header.entries) {
    VIT_RETURN_IF_ERROR(CheckRange(name, entry, data_bytes));
  }
  VIT_RETURN_IF_ERROR(CheckCover(header, data_bytes));
  return header;
}

}  // namespace vit
