#include "tests/client/naming.h"

#include <memory>
#include <mutex>

#include "absl/strings/match.h"

namespace vit {

FakeAnswers Naming(std::vector<v1::ClassifyRequest>* requests) {
  FakeAnswers answers;
  answers.classify = [requests, mu = std::make_shared<std::mutex>()](
                         const v1::ClassifyRequest& request, v1::ClassifyResponse* response) {
    if (requests != nullptr) {
      const std::lock_guard lock(*mu);
      requests->push_back(request);
    }
    for (const std::string& image : request.images()) {
      v1::ImageResult* result = response->add_results();
      if (absl::StartsWith(image, "bad")) {
        if (request.images_size() == 1) {
          return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "not an image");
        }
        result->set_code(grpc::StatusCode::INVALID_ARGUMENT);
        result->set_error("not an image");
        continue;
      }
      v1::ClassScore* first = result->add_classes();
      first->set_label(absl::StartsWith(image, "BM") ? "a bitmap" : image.substr(0, 20));
      first->set_probability(0.931f);
      v1::ClassScore* second = result->add_classes();
      second->set_index(7);
      second->set_label("other");
      second->set_probability(0.042f);
    }
    response->mutable_model()->set_model("run:7f3a2c");
    response->mutable_model()->set_run("7f3a2c");
    response->mutable_model()->set_step(1200);
    return grpc::Status::OK;
  };
  return answers;
}

}  // namespace vit
