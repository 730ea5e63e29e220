#include "core/base/status.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace vit {
namespace {

constexpr absl::string_view kOverLimit = "vit/over-limit";
constexpr absl::string_view kDeviceMemory = "vit/device-memory";

}  // namespace

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) {
    annotated.SetPayload(type, payload);
  });
  return annotated;
}

absl::Status OverLimitError(absl::string_view message) {
  absl::Status status = absl::ResourceExhaustedError(message);
  status.SetPayload(kOverLimit, absl::Cord());
  return status;
}

bool IsOverLimit(const absl::Status& status) { return status.GetPayload(kOverLimit).has_value(); }

absl::Status OutOfDeviceMemoryError(absl::string_view message) {
  absl::Status status = absl::ResourceExhaustedError(message);
  status.SetPayload(kDeviceMemory, absl::Cord());
  return status;
}

bool IsOutOfDeviceMemory(const absl::Status& status) {
  return status.GetPayload(kDeviceMemory).has_value();
}

absl::Status StatusFromException(const std::exception& e, absl::string_view what) {
  if (dynamic_cast<const std::bad_alloc*>(&e) != nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat(what, ": out of memory"));
  }
  if (const auto* torch_error = dynamic_cast<const c10::Error*>(&e)) {
    const std::string message = torch_error->what_without_backtrace();
    const bool of_device = dynamic_cast<const c10::OutOfMemoryError*>(&e) != nullptr ||
                           absl::StrContains(message, "CUDA out of memory") ||
                           absl::StrContains(message, "CUDA error: out of memory") ||
                           absl::StrContains(message, "_STATUS_ALLOC_FAILED");
    if (of_device) return OutOfDeviceMemoryError(absl::StrCat(what, ": ", message));
    if (absl::StrContains(message, "DefaultCPUAllocator: can't allocate memory")) {
      return absl::ResourceExhaustedError(absl::StrCat(what, ": ", message));
    }
    return absl::InternalError(absl::StrCat(what, ": ", message));
  }
  return absl::InternalError(absl::StrCat(what, ": ", e.what()));
}

}  // namespace vit
