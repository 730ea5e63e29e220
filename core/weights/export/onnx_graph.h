// An ONNX model under construction (https://github.com/onnx/onnx/blob/main/docs/IR.md).
#ifndef VIT_CORE_WEIGHTS_EXPORT_ONNX_GRAPH_H_
#define VIT_CORE_WEIGHTS_EXPORT_ONNX_GRAPH_H_

#include <ATen/core/Tensor.h>
#include <onnx/onnx.pb.h>

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"

namespace vit {

// Nodes are added in the order of their computation. A value is identified by its name: each method
// that makes one returns the name for the nodes that take it. The caller keeps names distinct.
// Operators are those of opset 17; the file's IR version is 8.
class OnnxGraph {
 public:
  struct Attribute {
    const char* name;
    std::variant<int64_t, float, std::vector<int64_t>> value;
  };

  // Offsets in model.onnx.data are multiples of it, so that every system can map the values into
  // memory.
  static constexpr int64_t kExternalAlignment = 65536;

  // If `external`, initializers of at least kExternalAlignment bytes go to model.onnx.data.
  explicit OnnxGraph(bool external);

  // Add the graph's input and output: float32 values [batch, sizes...] with any batch.
  std::string AddInput(const std::string& name, at::IntArrayRef sizes, const std::string& doc);
  void AddOutput(const std::string& name, at::IntArrayRef sizes, const std::string& doc);

  // Adds a node named after its first output.
  std::string AddNode(const char* op, const std::vector<std::string>& inputs,
                      const std::string& output, const std::vector<Attribute>& attributes = {});
  void AddNode(const char* op, const std::vector<std::string>& inputs,
               const std::vector<std::string>& outputs,
               const std::vector<Attribute>& attributes = {});

  // Floating point values become float32, integers int64. Adds nothing if there is one with that
  // name. Until Write, `values` that go to model.onnx.data are held but not copied.
  std::string AddInitializer(const std::string& name, const at::Tensor& values);
  std::string AddInts(const std::string& name, const std::vector<int64_t>& values);

  // For what accompanies the graph: producer, metadata, doc_string.
  onnx::ModelProto& model() { return model_; }

  // Writes model.onnx and, if any initializer goes there, model.onnx.data into `directory`,
  // fsynced. RESOURCE_EXHAUSTED if model.onnx would be larger than protobuf's 2 GiB.
  absl::Status Write(const std::filesystem::path& directory) const;

 private:
  struct External {
    at::Tensor values;
    int64_t offset;
  };
  absl::Status WriteExternal(const std::filesystem::path& path) const;

  const bool external_;
  onnx::ModelProto model_;
  std::set<std::string> initializers_;
  std::vector<External> data_;
  int64_t data_bytes_ = 0;
};

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_EXPORT_ONNX_GRAPH_H_
