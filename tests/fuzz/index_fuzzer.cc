// Any bytes as an index of shards.
#include "core/tensor_file/shard_index.h"
#include "tests/fuzz/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const vit::SharedBytes input = vit::FuzzInput(data, size);
  vit::ParseShardIndex(input.view).IgnoreError();
  return 0;
}
