#include "tests/fuzz/fuzzing.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace vit {

SharedBytes FuzzInput(const uint8_t* data, size_t size) {
  const auto bytes = std::make_shared<std::vector<char>>(data, data + size);
  return {absl::string_view(bytes->data(), size), bytes};
}

void Touch(const absl::StatusOr<TensorFile>& file) {
  if (!file.ok()) return;
  for (const auto& [name, tensor] : file->tensors) {
    if (tensor.numel() == 0) continue;
    const auto* const first = static_cast<const volatile char*>(tensor.const_data_ptr());
    size_t last = tensor.itemsize();
    for (int64_t i = 0; i < tensor.dim(); ++i) {
      last += (tensor.size(i) - 1) * tensor.stride(i) * tensor.itemsize();
    }
    static_cast<void>(first[0]);
    static_cast<void>(first[last - 1]);
  }
}

}  // namespace vit
