#include "server/services/open_inference/infer_input.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"
#include "server/services/open_inference/model_tensors.h"

namespace vit {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the protocol's values are little-endian");

using inference::InferTensorContents;
using inference::ModelInferRequest;
using Tensor = ModelInferRequest::InferInputTensor;

constexpr uint32_t kInfinity = 0x7f800000;  // the exponent bits of a float

// Names the typed contents that are set; empty if none is.
std::string SetContents(const InferTensorContents& contents) {
  std::vector<absl::string_view> set;
  const auto add = [&](absl::string_view name, int size) {
    if (size > 0) set.push_back(name);
  };
  add("bool_contents", contents.bool_contents_size());
  add("int_contents", contents.int_contents_size());
  add("int64_contents", contents.int64_contents_size());
  add("uint_contents", contents.uint_contents_size());
  add("uint64_contents", contents.uint64_contents_size());
  add("fp32_contents", contents.fp32_contents_size());
  add("fp64_contents", contents.fp64_contents_size());
  add("bytes_contents", contents.bytes_contents_size());
  return absl::StrJoin(set, ", ");
}

std::string ShapeText(const Tensor& tensor) {
  constexpr int kShown = 8;
  const int shown = std::min(tensor.shape_size(), kShown);
  return absl::StrCat("[",
                      absl::StrJoin(tensor.shape().begin(), tensor.shape().begin() + shown, ", "),
                      tensor.shape_size() > kShown ? ", ..." : "", "]");
}

// Widens a half-precision number.
float FromHalf(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 0x1f;
  const uint32_t mantissa = half & 0x3ff;
  if (exponent == 0) {  // zero, or a multiple of 2^-24
    const float value = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  const uint32_t wide = exponent == 0x1f ? kInfinity : (exponent + 112) << 23;
  return std::bit_cast<float>(sign | wide | mantissa << 13);
}

// Reads one tensor.
class Reader {
 public:
  Reader(const Tensor& tensor, const std::string* raw, int image_size, int max_images)
      : tensor_(tensor), raw_(raw), image_size_(image_size), max_images_(max_images) {}

  absl::StatusOr<InferInput> Read() {
    read_.name = tensor_.name();
    for (const auto& [name, value] : tensor_.parameters()) {
      if (name == "shared_memory_region") {
        return Error("vitd has no shared memory; send the values in raw_input_contents");
      }
    }
    if (tensor_.name() == kImageInput) {
      VIT_RETURN_IF_ERROR(ReadFiles());
    } else if (tensor_.name() == kTensorInput) {
      VIT_RETURN_IF_ERROR(ReadTensor());
    } else {
      return absl::InvalidArgumentError(absl::StrCat("input '", tensor_.name(),
                                                     "': the model has IMAGE (BYTES) and INPUT ",
                                                     "(UINT8, FP16 or FP32)"));
    }
    return std::move(read_);
  }

 private:
  template <typename... Parts>
  absl::Status Error(const Parts&... parts) const {
    return absl::InvalidArgumentError(absl::StrCat("input ", tensor_.name(), ": ", parts...));
  }

  // Checks the first dimension of a shape whose rest is as expected.
  absl::Status CheckCount() const {
    const int64_t count = tensor_.shape(0);
    if (count >= 1 && count <= max_images_) return absl::OkStatus();
    return Error("shape ", ShapeText(tensor_), " has ", count, " images; expected 1 to ",
                 max_images_);
  }

  // Checks that typed contents are those of the datatype, with `expected` entries.
  absl::Status CheckContents(absl::string_view field, int64_t size, int64_t expected) const {
    const std::string set = SetContents(tensor_.contents());
    if (!set.empty() && set != field) {
      return Error(tensor_.datatype(), " values belong in ", field, ", found ", set);
    }
    if (size == expected) return absl::OkStatus();
    return Error(field, " has ", size, " entries; shape ", ShapeText(tensor_), " needs ", expected);
  }

  absl::Status ReadFiles() {
    if (tensor_.datatype() != "BYTES") {
      return Error("datatype '", tensor_.datatype(),
                   "'; expected BYTES: JPEG, PNG, WebP or BMP files");
    }
    const bool well_formed =
        tensor_.shape_size() == 1 || (tensor_.shape_size() == 2 && tensor_.shape(1) == 1);
    if (!well_formed) return Error("shape ", ShapeText(tensor_), "; expected [-1] or [-1, 1]");
    VIT_RETURN_IF_ERROR(CheckCount());
    if (raw_ != nullptr) return ReadRawFiles(tensor_.shape(0));
    const auto& files = tensor_.contents().bytes_contents();
    VIT_RETURN_IF_ERROR(CheckContents("bytes_contents", files.size(), tensor_.shape(0)));
    for (const std::string& file : files) read_.images.push_back({.data = file});
    return absl::OkStatus();
  }

  // Each file has its length in front.
  absl::Status ReadRawFiles(int64_t count) {
    absl::string_view rest = *raw_;
    for (int64_t i = 0; i < count; ++i) {
      uint32_t length = 0;
      if (rest.size() < sizeof(length)) {
        return Error("raw contents end before element ", i, "; shape ", ShapeText(tensor_),
                     " needs ", count, " elements, each with its length in 4 bytes before it");
      }
      memcpy(&length, rest.data(), sizeof(length));
      rest.remove_prefix(sizeof(length));
      if (length > rest.size()) {
        return Error("element ", i, " has ", length, " bytes by its length, but only ", rest.size(),
                     " are left in the raw contents");
      }
      read_.images.push_back({.data = rest.substr(0, length)});
      rest.remove_prefix(length);
    }
    if (!rest.empty()) {
      return Error(rest.size(), " bytes are left in the raw contents after the ", count,
                   " elements of shape ", ShapeText(tensor_));
    }
    return absl::OkStatus();
  }

  absl::Status ReadTensor() {
    const std::string& datatype = tensor_.datatype();
    if (datatype != "UINT8" && datatype != "FP16" && datatype != "FP32") {
      return Error("datatype '", datatype,
                   "'; expected UINT8 for RGB pixels, FP16 or FP32 for normalized ones");
    }
    const bool well_formed = tensor_.shape_size() == 4 && tensor_.shape(1) == 3 &&
                             tensor_.shape(2) == image_size_ && tensor_.shape(3) == image_size_;
    if (!well_formed) {
      return Error("shape ", ShapeText(tensor_), "; expected [-1, 3, ", image_size_, ", ",
                   image_size_, "]");
    }
    VIT_RETURN_IF_ERROR(CheckCount());
    const int64_t values = 3 * int64_t{image_size_} * image_size_;  // of an image
    const int64_t all = values * tensor_.shape(0);
    const int size = datatype == "UINT8" ? 1 : datatype == "FP16" ? 2 : 4;  // of a value, in bytes
    absl::string_view data;
    if (raw_ != nullptr) {
      if (std::ssize(*raw_) != all * size) {
        return Error("the raw contents have ", raw_->size(), " bytes; shape ", ShapeText(tensor_),
                     " of ", datatype, " needs ", all * size);
      }
      data = *raw_;
    } else if (datatype == "FP16") {
      return Error("FP16 has no typed contents; send the values in raw_input_contents");
    } else if (datatype == "FP32") {
      const auto& floats = tensor_.contents().fp32_contents();
      VIT_RETURN_IF_ERROR(CheckContents("fp32_contents", floats.size(), all));
      data = {reinterpret_cast<const char*>(floats.data()), static_cast<size_t>(all * size)};
    } else {
      VIT_RETURN_IF_ERROR(NarrowPixels(all));
      data = {reinterpret_cast<const char*>(read_.bytes.data()), read_.bytes.size()};
    }
    if (datatype == "FP16") data = Widen(data);
    const ImageInput::Form form =
        datatype == "UINT8" ? ImageInput::Form::kPixels : ImageInput::Form::kNormalized;
    const size_t stride = data.size() / tensor_.shape(0);
    for (int64_t i = 0; i < tensor_.shape(0); ++i) {
      read_.images.push_back({.form = form, .data = data.substr(i * stride, stride)});
      if (form == ImageInput::Form::kNormalized) VIT_RETURN_IF_ERROR(CheckFinite(i));
    }
    return absl::OkStatus();
  }

  // Takes UINT8 values out of typed contents, where each has 32 bits.
  absl::Status NarrowPixels(int64_t count) {
    const auto& wide = tensor_.contents().uint_contents();
    VIT_RETURN_IF_ERROR(CheckContents("uint_contents", wide.size(), count));
    read_.bytes.reserve(wide.size());
    for (const uint32_t value : wide) {
      if (value > 255) return Error("uint_contents has the value ", value, "; UINT8 ends at 255");
      read_.bytes.push_back(static_cast<uint8_t>(value));
    }
    return absl::OkStatus();
  }

  absl::string_view Widen(absl::string_view halves) {
    read_.values.resize(halves.size() / sizeof(uint16_t));
    for (size_t i = 0; i < read_.values.size(); ++i) {
      uint16_t half;
      memcpy(&half, halves.data() + i * sizeof(half), sizeof(half));
      read_.values[i] = FromHalf(half);
    }
    return {reinterpret_cast<const char*>(read_.values.data()),
            read_.values.size() * sizeof(float)};
  }

  absl::Status CheckFinite(int64_t image) const {
    const absl::string_view data = read_.images[image].data;
    uint32_t all_finite = 1;
    for (size_t i = 0; i < data.size(); i += sizeof(uint32_t)) {
      uint32_t bits;
      memcpy(&bits, data.data() + i, sizeof(bits));
      all_finite &= static_cast<uint32_t>((bits & kInfinity) != kInfinity);
    }
    if (all_finite != 0) return absl::OkStatus();
    return Error("element ", image, " has a value that is infinite or not a number");
  }

  const Tensor& tensor_;
  const std::string* const raw_;  // null if the contents are typed
  const int image_size_;
  const int max_images_;
  InferInput read_;
};

}  // namespace

absl::StatusOr<InferInput> ReadInput(const ModelInferRequest& request, int image_size,
                                     int max_images) {
  if (request.inputs_size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the request has ", request.inputs_size(),
                     " inputs; expected one, IMAGE (BYTES) or INPUT (UINT8, FP16 or FP32)"));
  }
  const Tensor& tensor = request.inputs(0);
  if (request.raw_input_contents_size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("raw_input_contents has ", request.raw_input_contents_size(),
                     " entries for one input; expected one for each input, or none"));
  }
  const std::string* raw = nullptr;
  if (request.raw_input_contents_size() == 1) {
    raw = &request.raw_input_contents(0);
    if (const std::string set = SetContents(tensor.contents()); !set.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("input ", tensor.name(),
                                                     ": both raw_input_contents and contents.", set,
                                                     " are set; send the values once"));
    }
  }
  return Reader(tensor, raw, image_size, max_images).Read();
}

}  // namespace vit
