#include "server/net/malformed_requests.h"

#include <google/protobuf/descriptor.h>
#include <grpcpp/support/status.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace vit {
namespace {

using grpc::experimental::InterceptionHookPoints;

// Whether there is a method "/vit.v1.TrainingService/Status".
bool Exists(absl::string_view method) {
  const std::string name = absl::StrReplaceAll(absl::StripPrefix(method, "/"), {{"/", "."}});
  return google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(name) != nullptr;
}

class Interceptor final : public grpc::experimental::Interceptor {
 public:
  explicit Interceptor(const grpc::experimental::ServerRpcInfo* info) : info_(info) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      const grpc::Status status = methods->GetSendStatus();
      // No method of ours answers this: it is gRPC's own answer if it could not parse the request.
      if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED &&
          status.error_message().empty() && Exists(info_->method())) {
        methods->ModifySendStatus(
            {grpc::StatusCode::INVALID_ARGUMENT,
             absl::StrCat("cannot read the request of ", info_->method(),
                          ": it is not a valid protobuf message, or a text field is not UTF-8")});
      }
    }
    methods->Proceed();
  }

 private:
  const grpc::experimental::ServerRpcInfo* const info_;
};

class Factory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    return new Interceptor(info);
  }
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
MakeMalformedRequestInterceptors() {
  return std::make_unique<Factory>();
}

}  // namespace vit
