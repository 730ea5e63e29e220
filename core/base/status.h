// Helpers for absl::Status: early returns, added context, and the boundary at which exceptions
// become statuses.
#ifndef VIT_CORE_BASE_STATUS_H_
#define VIT_CORE_BASE_STATUS_H_

#include <exception>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

// Returns `status` with "context: " before its message and its payloads kept; OK stays OK.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

// RESOURCE_EXHAUSTED because something is larger than allowed: a retry fails too, unlike after
// memory or descriptors ran out.
absl::Status OverLimitError(absl::string_view message);
bool IsOverLimit(const absl::Status& status);

// RESOURCE_EXHAUSTED because the device's own memory (not the host's) ran out.
absl::Status OutOfDeviceMemoryError(absl::string_view message);
bool IsOutOfDeviceMemory(const absl::Status& status);

// Returns the status for an exception caught at core's edge: running out of memory, on the host or
// the device, is RESOURCE_EXHAUSTED, everything else INTERNAL. LibTorch's C++ backtraces are
// removed. `what` names the operation.
absl::Status StatusFromException(const std::exception& e, absl::string_view what);

// Runs `fn`, which returns absl::Status or absl::StatusOr<T>, and turns an exception into a status.
// LibTorch, OpenCV and the standard library throw; nothing outside core/ may see that.
template <typename Fn>
auto CatchExceptions(absl::string_view what, Fn&& fn) -> decltype(fn()) {
  try {
    return std::forward<Fn>(fn)();
  } catch (const std::exception& e) {
    return StatusFromException(e, what);
  } catch (...) {
    return absl::InternalError(std::string(what) + ": unknown exception");
  }
}

namespace status_internal {
inline absl::Status ToStatus(absl::Status s) { return s; }
template <typename T>
absl::Status ToStatus(absl::StatusOr<T> s) {
  return std::move(s).status();
}
}  // namespace status_internal

}  // namespace vit

#define VIT_RETURN_IF_ERROR(expr)                                                     \
  do {                                                                                \
    if (auto vit_status = ::vit::status_internal::ToStatus((expr)); !vit_status.ok()) \
      return vit_status;                                                              \
  } while (false)

#define VIT_STATUS_CONCAT_INNER(a, b) a##b
#define VIT_STATUS_CONCAT(a, b) VIT_STATUS_CONCAT_INNER(a, b)
// VIT_ASSIGN_OR_RETURN(auto x, MakeX()); the left side must not contain a bare comma.
#define VIT_ASSIGN_OR_RETURN(lhs, expr) \
  VIT_ASSIGN_OR_RETURN_IMPL(VIT_STATUS_CONCAT(vit_statusor_, __LINE__), lhs, expr)
#define VIT_ASSIGN_OR_RETURN_IMPL(var, lhs, expr) \
  auto var = (expr);                              \
  if (!var.ok()) return std::move(var).status();  \
  lhs = std::move(var).value()

#endif  // VIT_CORE_BASE_STATUS_H_
