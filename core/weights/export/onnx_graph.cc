#include "core/weights/export/onnx_graph.h"

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <torch/torch.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace vit {
namespace {

constexpr int64_t kIrVersion = 8;
constexpr int64_t kOpset = 17;
constexpr char kModelFile[] = "model.onnx";
constexpr char kDataFile[] = "model.onnx.data";

// The values as the file holds them. ONNX is little endian, like every machine that LibTorch
// supports.
at::Tensor FileValues(const at::Tensor& values) {
  const bool floating = at::isFloatingType(values.scalar_type());
  return values.detach().to(at::kCPU, floating ? at::kFloat : at::kLong).contiguous();
}

absl::string_view BytesOf(const at::Tensor& values) {
  return {static_cast<const char*>(values.const_data_ptr()), values.nbytes()};
}

void SetFloats(const std::string& name, at::IntArrayRef sizes, const std::string& doc,
               onnx::ValueInfoProto* value) {
  value->set_name(name);
  value->set_doc_string(doc);
  onnx::TypeProto_Tensor* const type = value->mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  type->mutable_shape()->add_dim()->set_dim_param("batch");
  for (const int64_t size : sizes) type->mutable_shape()->add_dim()->set_dim_value(size);
}

void SetAttribute(const OnnxGraph::Attribute& attribute, onnx::AttributeProto* proto) {
  proto->set_name(attribute.name);
  if (const auto* i = std::get_if<int64_t>(&attribute.value)) {
    proto->set_type(onnx::AttributeProto::INT);
    proto->set_i(*i);
  } else if (const auto* f = std::get_if<float>(&attribute.value)) {
    proto->set_type(onnx::AttributeProto::FLOAT);
    proto->set_f(*f);
  } else {
    const auto& ints = std::get<std::vector<int64_t>>(attribute.value);
    proto->set_type(onnx::AttributeProto::INTS);
    proto->mutable_ints()->Assign(ints.begin(), ints.end());
  }
}

// Writes protobuf's bytes to a file.
class FileStream : public google::protobuf::io::CopyingOutputStream {
 public:
  explicit FileStream(FileWriter* file) : file_(file) {}
  bool Write(const void* bytes, int size) override {
    status_ = file_->Append({static_cast<const char*>(bytes), static_cast<size_t>(size)});
    return status_.ok();
  }
  const absl::Status& status() const { return status_; }

 private:
  FileWriter* const file_;
  absl::Status status_;
};

}  // namespace

OnnxGraph::OnnxGraph(bool external) : external_(external) {
  model_.set_ir_version(kIrVersion);
  onnx::OperatorSetIdProto* const opset = model_.add_opset_import();
  opset->set_domain("");
  opset->set_version(kOpset);
}

std::string OnnxGraph::AddInput(const std::string& name, at::IntArrayRef sizes,
                                const std::string& doc) {
  SetFloats(name, sizes, doc, model_.mutable_graph()->add_input());
  return name;
}

void OnnxGraph::AddOutput(const std::string& name, at::IntArrayRef sizes, const std::string& doc) {
  SetFloats(name, sizes, doc, model_.mutable_graph()->add_output());
}

std::string OnnxGraph::AddNode(const char* op, const std::vector<std::string>& inputs,
                               const std::string& output,
                               const std::vector<Attribute>& attributes) {
  AddNode(op, inputs, std::vector<std::string>{output}, attributes);
  return output;
}

void OnnxGraph::AddNode(const char* op, const std::vector<std::string>& inputs,
                        const std::vector<std::string>& outputs,
                        const std::vector<Attribute>& attributes) {
  onnx::NodeProto* const node = model_.mutable_graph()->add_node();
  node->set_op_type(op);
  node->set_name(outputs.front());
  node->mutable_input()->Assign(inputs.begin(), inputs.end());
  node->mutable_output()->Assign(outputs.begin(), outputs.end());
  for (const Attribute& attribute : attributes) SetAttribute(attribute, node->add_attribute());
}

std::string OnnxGraph::AddInitializer(const std::string& name, const at::Tensor& values) {
  if (!initializers_.insert(name).second) return name;
  const bool floating = at::isFloatingType(values.scalar_type());
  const int64_t bytes = values.numel() * (floating ? sizeof(float) : sizeof(int64_t));
  onnx::TensorProto* const proto = model_.mutable_graph()->add_initializer();
  proto->set_name(name);
  proto->set_data_type(floating ? onnx::TensorProto::FLOAT : onnx::TensorProto::INT64);
  proto->mutable_dims()->Assign(values.sizes().begin(), values.sizes().end());
  if (!external_ || bytes < kExternalAlignment) {
    const at::Tensor host = FileValues(values);
    proto->set_raw_data(host.const_data_ptr(), host.nbytes());
    return name;
  }
  const int64_t offset =
      (data_bytes_ + kExternalAlignment - 1) / kExternalAlignment * kExternalAlignment;
  data_.push_back({values, offset});
  data_bytes_ = offset + bytes;
  proto->set_data_location(onnx::TensorProto::EXTERNAL);
  const auto say = [&](const char* key, const std::string& value) {
    onnx::StringStringEntryProto* const entry = proto->add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  };
  say("location", kDataFile);
  say("offset", absl::StrCat(offset));
  say("length", absl::StrCat(bytes));
  return name;
}

std::string OnnxGraph::AddInts(const std::string& name, const std::vector<int64_t>& values) {
  return AddInitializer(name, at::tensor(values, at::kLong));
}

absl::Status OnnxGraph::Write(const std::filesystem::path& directory) const {
  if (!data_.empty()) VIT_RETURN_IF_ERROR(WriteExternal(directory / kDataFile));
  const std::filesystem::path path = directory / kModelFile;
  if (model_.ByteSizeLong() > INT32_MAX) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path.string(), " would have ", model_.ByteSizeLong(),
                     " bytes, but protobuf writes less than 2 GiB"));
  }
  VIT_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(path));
  FileStream stream(&file);
  {
    google::protobuf::io::CopyingOutputStreamAdaptor buffer(&stream, /*block_size=*/1 << 20);
    model_.SerializeToZeroCopyStream(&buffer);
    buffer.Flush();
  }
  VIT_RETURN_IF_ERROR(stream.status());
  return file.SyncAndClose();
}

absl::Status OnnxGraph::WriteExternal(const std::filesystem::path& path) const {
  VIT_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(path));
  int64_t written = 0;
  for (const External& external : data_) {
    VIT_RETURN_IF_ERROR(file.Append(std::string(external.offset - written, '\0')));
    const at::Tensor host = FileValues(external.values);
    VIT_RETURN_IF_ERROR(file.Append(BytesOf(host)));
    written = external.offset + static_cast<int64_t>(host.nbytes());
  }
  return file.SyncAndClose();
}

}  // namespace vit
