#include "core/tensor_file/pytorch/pickle_globals.h"

namespace vit {
namespace {

using Role = PickleGlobal::Role;

constexpr PickleGlobal kGlobals[] = {
    {"collections", "OrderedDict", Role::kDict},
    {"torch._utils", "_rebuild_tensor", Role::kTensor},
    {"torch._utils", "_rebuild_tensor_v2", Role::kTensor},
    {"torch._utils", "_rebuild_tensor_v3", Role::kTypedTensor},
    {"torch._utils", "_rebuild_parameter", Role::kParameter},
    {"torch._utils", "_rebuild_parameter_with_state", Role::kParameter},
    {"torch", "Size", Role::kSize},

    {"torch", "DoubleStorage", Role::kStorage, at::kDouble},
    {"torch", "FloatStorage", Role::kStorage, at::kFloat},
    {"torch", "HalfStorage", Role::kStorage, at::kHalf},
    {"torch", "BFloat16Storage", Role::kStorage, at::kBFloat16},
    {"torch", "LongStorage", Role::kStorage, at::kLong},
    {"torch", "IntStorage", Role::kStorage, at::kInt},
    {"torch", "ShortStorage", Role::kStorage, at::kShort},
    {"torch", "CharStorage", Role::kStorage, at::kChar},
    {"torch", "ByteStorage", Role::kStorage, at::kByte},
    {"torch", "BoolStorage", Role::kStorage, at::kBool},
    {"torch", "ComplexFloatStorage", Role::kStorage},
    {"torch", "ComplexDoubleStorage", Role::kStorage},
    // Their size counts bytes; a typed tensor on them has its own dtype.
    {"torch.storage", "UntypedStorage", Role::kStorage, at::kByte},
    {"torch.storage", "TypedStorage", Role::kStorage, at::kByte},

    {"torch", "float64", Role::kDtype, at::kDouble},
    {"torch", "float32", Role::kDtype, at::kFloat},
    {"torch", "float16", Role::kDtype, at::kHalf},
    {"torch", "bfloat16", Role::kDtype, at::kBFloat16},
    {"torch", "int64", Role::kDtype, at::kLong},
    {"torch", "int32", Role::kDtype, at::kInt},
    {"torch", "int16", Role::kDtype, at::kShort},
    {"torch", "int8", Role::kDtype, at::kChar},
    {"torch", "uint8", Role::kDtype, at::kByte},
    {"torch", "bool", Role::kDtype, at::kBool},
    {"torch", "uint16", Role::kDtype},
    {"torch", "uint32", Role::kDtype},
    {"torch", "uint64", Role::kDtype},
    {"torch", "complex64", Role::kDtype},
    {"torch", "complex128", Role::kDtype},
    {"torch", "float8_e4m3fn", Role::kDtype},
    {"torch", "float8_e5m2", Role::kDtype},

    // What training scripts save with the weights.
    {"argparse", "Namespace", Role::kOpaque},
    {"types", "SimpleNamespace", Role::kOpaque},
    {"torch.torch_version", "TorchVersion", Role::kOpaque},
    {"lightning_fabric.utilities.data", "AttributeDict", Role::kOpaque},
    {"lightning.fabric.utilities.data", "AttributeDict", Role::kOpaque},
    {"pytorch_lightning.utilities.parsing", "AttributeDict", Role::kOpaque},
    {"omegaconf.base", "ContainerMetadata", Role::kOpaque},
    {"omegaconf.base", "Metadata", Role::kOpaque},
    {"omegaconf.dictconfig", "DictConfig", Role::kOpaque},
    {"omegaconf.listconfig", "ListConfig", Role::kOpaque},
    {"omegaconf.nodes", "AnyNode", Role::kOpaque},
    {"typing", "Any", Role::kOpaque},
    {"yacs.config", "CfgNode", Role::kOpaque},
    {"easydict", "EasyDict", Role::kOpaque},
    {"datetime", "datetime", Role::kOpaque},
    {"datetime", "timedelta", Role::kOpaque},
    {"torch", "device", Role::kOpaque},
    {"torch.serialization", "_get_layout", Role::kOpaque},
    {"collections", "defaultdict", Role::kOpaque},
    {"collections", "Counter", Role::kOpaque},
    {"collections", "deque", Role::kOpaque},
    {"pathlib", "PosixPath", Role::kOpaque},
    {"pathlib", "WindowsPath", Role::kOpaque},
    {"pathlib._local", "WindowsPath", Role::kOpaque},
    {"pathlib._local", "PosixPath", Role::kOpaque},  // Python 3.13's name of it
    {"builtins", "set", Role::kOpaque},
    {"__builtin__", "set", Role::kOpaque},
    {"builtins", "complex", Role::kOpaque},
    {"builtins", "slice", Role::kOpaque},
    {"builtins", "range", Role::kOpaque},
    {"builtins", "bytearray", Role::kOpaque},
    {"builtins", "frozenset", Role::kOpaque},
    {"builtins", "dict", Role::kOpaque},
    {"builtins", "list", Role::kOpaque},
    {"builtins", "int", Role::kOpaque},
    {"builtins", "float", Role::kOpaque},
    {"builtins", "str", Role::kOpaque},
    {"_codecs", "encode", Role::kOpaque},
    {"numpy", "dtype", Role::kOpaque},
    {"numpy", "ndarray", Role::kOpaque},
    {"numpy.core.multiarray", "scalar", Role::kOpaque},
    {"numpy.core.multiarray", "_reconstruct", Role::kOpaque},
    {"numpy._core.multiarray", "scalar", Role::kOpaque},
    {"numpy._core.multiarray", "_reconstruct", Role::kOpaque},
};

}  // namespace

const PickleGlobal* FindPickleGlobal(absl::string_view module, absl::string_view name) {
  for (const PickleGlobal& global : kGlobals) {
    if (global.module == module && global.name == name) return &global;
  }
  return nullptr;
}

}  // namespace vit
