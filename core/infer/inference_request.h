// What is asked of a model and what it answers, whatever the protocol.
#ifndef VIT_CORE_INFER_INFERENCE_REQUEST_H_
#define VIT_CORE_INFER_INFERENCE_REQUEST_H_

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "vit/v1/inference.pb.h"

namespace vit {

class FrozenModel;

// What is computed for an image.
struct Work {
  enum class Kind { kClassify, kEmbed, kClassifyAndEmbed, kEmbedTokens, kExplain };
  Kind kind = Kind::kClassify;
  int block = -1;  // kExplain: the block whose attention is shown; -1 for rollout over all
  bool operator==(const Work&) const = default;
};

// An image as a caller has it.
struct ImageInput {
  enum class Form {
    kEncoded,     // a JPEG, PNG, WebP or BMP file
    kPixels,      // [3, S, S] bytes, red first, S being the model's image_size
    kNormalized,  // [3, S, S] float32 in this machine's byte order: pixels / 255, less the model's
                  // mean, divided by its std. Need not be aligned
  };
  Form form = Form::kEncoded;
  absl::string_view data;
};

// An image as it goes into the model: [3, S, S], planes, red first; one of the two.
struct PreparedImage {
  std::vector<uint8_t> bytes;
  std::vector<float> values;  // on the scale of bytes, but not whole
};

// The result for one image.
struct Computed {
  // kClassify, kClassifyAndEmbed, kExplain: of each class, with sum 1.
  std::vector<float> probabilities;
  // kEmbed, kClassifyAndEmbed: [features]; kEmbedTokens: [tokens, features].
  std::vector<float> features;
  std::vector<float> relevance;  // kExplain: [rows * columns]
  std::vector<float> attention;  // kExplain with a block: [heads, tokens, tokens]
  PreparedImage image;           // kExplain: what the model saw
};

struct InferenceRequest {
  std::string model;  // as in ClassifyRequest
  Work work;
  vit::v1::Priority priority = vit::v1::PRIORITY_UNSPECIFIED;
  absl::Time deadline = absl::InfiniteFuture();
  std::stop_token cancelled;
  std::vector<ImageInput> images;  // what they point to must live until the request is answered
};

struct InferenceAnswer {
  std::shared_ptr<const FrozenModel> model;  // that computed it
  // In the order of the images. An image that could not be decoded fails alone.
  std::vector<absl::StatusOr<Computed>> results;
};

// When and whether a caller of one of the engine's methods still waits.
struct CallContext {
  absl::Time deadline = absl::InfiniteFuture();
  std::stop_token cancelled;
};

}  // namespace vit

#endif  // VIT_CORE_INFER_INFERENCE_REQUEST_H_
