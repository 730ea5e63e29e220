// Answers to requests that are not a message of their method.
#ifndef VIT_SERVER_NET_MALFORMED_REQUESTS_H_
#define VIT_SERVER_NET_MALFORMED_REQUESTS_H_

#include <grpcpp/support/server_interceptor.h>

#include <memory>

namespace vit {

// gRPC answers bytes that cannot be parsed, and text fields that are not UTF-8, with UNIMPLEMENTED
// and no text, which sounds like a method that does not exist. The interceptors made here answer
// INVALID_ARGUMENT instead and name the method. Methods that do not exist stay UNIMPLEMENTED.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
MakeMalformedRequestInterceptors();

}  // namespace vit

#endif  // VIT_SERVER_NET_MALFORMED_REQUESTS_H_
