#include "tests/core/tensor_file/bad_files.h"

namespace vit {

std::vector<BadFile> BadIndices() {
  const auto map = [](const std::string& weight_map) {
    return R"({"metadata":{"total_size":4},"weight_map":)" + weight_map + "}";
  };
  const std::string form = "expected {\"weight_map\": {TENSOR: FILE, ...}}";
  const std::string plain = "not the plain name of a file";
  return {
      {"an empty object", "{}", "no weight_map with tensors"},
      {"no weight map", R"({"metadata":{}})", "no weight_map with tensors"},
      {"an empty weight map", map("{}"), "no weight_map with tensors"},
      {"a weight map that is a list", map("[]"), form},
      {"a weight map that is a text", map(R"("a")"), form},
      {"a weight map that is a number", map("1"), form},
      {"a file that is a number", map(R"({"a":1})"), form},
      {"a file that is null", map(R"({"a":null})"), form},
      {"a file that is a list", map(R"({"a":["b"]})"), form},
      {"a file that is an object", map(R"({"a":{"b":"c"}})"), form},
      {"a file in the folder above", map(R"({"a":"../b"})"), plain},
      {"a file in a folder below", map(R"({"a":"b/c"})"), plain},
      {"a file at the root", map(R"({"a":"/etc/passwd"})"), plain},
      {"the folder itself", map(R"({"a":"."})"), plain},
      {"the folder above", map(R"({"a":".."})"), plain},
      {"a file without a name", map(R"({"a":""})"), plain},
      {"a file name with a zero byte", map(R"({"a":"b\u0000c"})"), plain},
      {"a file name with a newline", map(R"({"a":"b\nc"})"), plain},
      {"an endless file name", map("{\"a\":\"" + std::string(5000, '/') + "\"}"), "///...'"},
      {"a tensor twice", map(R"({"a":"b","a":"c"})"), "names 'a' twice"},
      {"two weight maps", R"({"weight_map":{"a":"b"},"weight_map":{"c":"d"}})", "two weight_maps"},
      {"cut in the weight map", R"({"weight_map":{"a":"b")", "not valid JSON"},
      {"cut in a name", R"({"weight_map":{"a)", "not valid JSON"},
      {"NaN in the metadata", R"({"metadata":{"total_size":NaN},"weight_map":{"a":"b"}})",
       "not valid JSON"},
      {"text after the index", map(R"({"a":"b"})") + "x", "not valid JSON"},
      {"nesting without end", R"({"metadata":)" + std::string(1'000'000, '['), "not valid JSON"},
      {"not UTF-8", "{\"weight_map\":{\"\xff\":\"b\"}}", "not valid JSON"},
      {"too long", "{" + std::string(16 << 20, ' ') + "}", "at most 16777216 are read"},
      {"a file that is not there", map(R"({"a":"no such file"})"), "no such file"},
  };
}

}  // namespace vit
