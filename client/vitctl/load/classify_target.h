// A vitd that is asked to classify, as the target of a load.
#ifndef VIT_CLIENT_VITCTL_LOAD_CLASSIFY_TARGET_H_
#define VIT_CLIENT_VITCTL_LOAD_CLASSIFY_TARGET_H_

#include <memory>
#include <string>
#include <vector>

#include "client/lib/client.h"
#include "client/vitctl/load/load_generator.h"
#include "vit/v1/inference.pb.h"

namespace vit {

struct NamedImage {
  std::string name;
  std::string bytes;
};

class ClassifyTarget final : public LoadTarget {
 public:
  struct Options {
    std::string model;
    int top_k = 5;
    vit::v1::Priority priority = vit::v1::PRIORITY_UNSPECIFIED;
    int images_per_request = 1;
  };

  // Each client has its own connection; there are to be as many as clients. `images`: at least one;
  // requests take them in turn.
  ClassifyTarget(const std::vector<NamedImage>& images, Options options,
                 std::vector<std::unique_ptr<VitClient>> connections);

  void Connect(int client, const std::stop_token& stop) override;
  absl::Status Send(int client, int64_t index, const std::stop_token& stop) override;

 private:
  const std::vector<NamedImage>& images_;
  const Options options_;
  const std::vector<std::unique_ptr<VitClient>> connections_;
};

// Sends request `index` on `client`. An image without an answer is the request's error, with the
// image's name.
absl::StatusOr<vit::v1::ClassifyResponse> ClassifyInTurn(VitClient& client,
                                                         const std::vector<NamedImage>& images,
                                                         const ClassifyTarget::Options& options,
                                                         int64_t index,
                                                         const std::stop_token& stop);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_LOAD_CLASSIFY_TARGET_H_
