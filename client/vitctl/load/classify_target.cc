#include "client/vitctl/load/classify_target.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace vit {

ClassifyTarget::ClassifyTarget(const std::vector<NamedImage>& images, Options options,
                               std::vector<std::unique_ptr<VitClient>> connections)
    : images_(images), options_(std::move(options)), connections_(std::move(connections)) {}

void ClassifyTarget::Connect(int client, const std::stop_token& stop) {
  // Any call connects.
  (void)connections_[client]->CheckHealth({}, stop);
}

absl::Status ClassifyTarget::Send(int client, int64_t index, const std::stop_token& stop) {
  return ClassifyInTurn(*connections_[client], images_, options_, index, stop).status();
}

absl::StatusOr<vit::v1::ClassifyResponse> ClassifyInTurn(VitClient& client,
                                                         const std::vector<NamedImage>& images,
                                                         const ClassifyTarget::Options& options,
                                                         int64_t index,
                                                         const std::stop_token& stop) {
  const auto image = [&](int i) -> const NamedImage& {
    return images[(index * options.images_per_request + i) % images.size()];
  };
  vit::v1::ClassifyRequest request;
  request.set_model(options.model);
  request.set_top_k(options.top_k);
  request.set_priority(options.priority);
  for (int i = 0; i < options.images_per_request; ++i) request.add_images(image(i).bytes);
  auto response = client.Classify(request, stop);
  if (!response.ok()) return response;
  if (response->results_size() != request.images_size()) {
    return absl::InternalError(absl::StrCat("the server answered ", response->results_size(),
                                            " of ", request.images_size(), " images"));
  }
  for (int i = 0; i < response->results_size(); ++i) {
    const vit::v1::ImageResult& result = response->results(i);
    if (result.code() == 0) continue;
    return absl::Status(static_cast<absl::StatusCode>(result.code()),
                        absl::StrCat(image(i).name, ": ", result.error()));
  }
  return response;
}

}  // namespace vit
