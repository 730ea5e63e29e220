#include "core/tensor_file/pytorch/pickle.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/bounded_reader.h"
#include "core/base/status.h"
#include "core/tensor_file/pytorch/pickle_integer.h"
#include "core/tensor_file/pytorch/pickle_stack.h"
#include "core/tensor_file/tensor_bytes.h"

namespace vit {
namespace {

using Kind = PickleValue::Kind;
using Role = PickleGlobal::Role;

// A state dict of 1000 tensors takes 50,000 opcodes and 20,000 values; with an optimizer's state
// and averaged weights it takes a few times as many.
constexpr size_t kMaxOpcodes = 4'000'000;
constexpr size_t kMaxValues = 500'000;

const PickleValue kOpaqueValue;

absl::Status Bad(absl::string_view why) { return absl::InvalidArgumentError(why); }

}  // namespace

// The machine: runs one opcode after the other; none repeats or jumps.
class PickleReader {
 public:
  explicit PickleReader(absl::string_view bytes) : bytes_(bytes), reader_(bytes) {}

  absl::StatusOr<Pickle> Read() {
    const uint8_t first = reader_.U8(), protocol = reader_.U8();
    if (!reader_.ok() || first != 0x80) return Bad("it does not begin as a pickle does");
    if (protocol < 2 || protocol > 5) {
      return Bad(absl::StrCat("protocol ", protocol, " is not supported; 2 to 5 are"));
    }
    for (size_t count = 0; result_.top_ == nullptr; ++count) {
      if (count == kMaxOpcodes || result_.values_.size() > kMaxValues) {
        return absl::ResourceExhaustedError(absl::StrCat("more than ", kMaxOpcodes, " opcodes or ",
                                                         kMaxValues,
                                                         " values; save the state dict alone"));
      }
      if (reader_.remaining() == 0) return Bad("it ends without STOP: the file is cut off");
      const size_t at = reader_.position();
      opcode_ = reader_.U8();
      absl::Status status = Step();
      if (!reader_.ok()) status = Bad("its argument extends beyond the pickle");
      if (!status.ok()) {
        return Annotate(status, absl::StrFormat("opcode 0x%02x at byte %d", opcode_, at));
      }
    }
    if (reader_.remaining() > 0) return Bad("bytes follow its STOP");
    return std::move(result_);
  }

 private:
  absl::Status Step() {
    switch (opcode_) {
      case 0x95:  // FRAME: a hint for reading ahead
        return reader_.U64Le() <= reader_.remaining() ? absl::OkStatus()
                                                      : Bad("the frame extends beyond the pickle");
      case '.': {  // STOP
        VIT_ASSIGN_OR_RETURN(result_.top_, stack_.Result());
        return absl::OkStatus();
      }
      case '(':  // MARK
        stack_.Mark();
        return absl::OkStatus();
      case '0':  // POP
        return stack_.PopAny();
      case '1':  // POP_MARK
        return stack_.PopToMark().status();
      case '2':  // DUP
        return Push(stack_.Top());
      case 'q':  // BINPUT
        return Put(reader_.U8());
      case 'r':  // LONG_BINPUT
        return Put(reader_.U32Le());
      case 0x94:  // MEMOIZE
        return Put(memo_.size());
      case 'h':  // BINGET
        return Push(memo_.Get(reader_.U8()));
      case 'j':  // LONG_BINGET
        return Push(memo_.Get(reader_.U32Le()));
      default:
        return StepScalar();
    }
  }

  // Opcodes that push a complete value.
  absl::Status StepScalar() {
    switch (opcode_) {
      case 'N':   // NONE
      case 0x88:  // NEWTRUE
      case 0x89:  // NEWFALSE
      case 0x8f:  // EMPTY_SET
        return Push(&kOpaqueValue);
      case 'G':  // BINFLOAT
        reader_.Skip(8);
        return Push(&kOpaqueValue);
      case 'J':  // BININT
        return PushInteger(static_cast<int32_t>(reader_.U32Le()));
      case 'K':  // BININT1
        return PushInteger(reader_.U8());
      case 'M':  // BININT2
        return PushInteger(reader_.U16Le());
      case 0x8a:  // LONG1
        return PushLong(reader_.U8());
      case 0x8b:  // LONG4
        return PushLong(reader_.U32Le());
      case 'U':   // SHORT_BINSTRING
      case 0x8c:  // SHORT_BINUNICODE
        return PushText(reader_.U8());
      case 'T':  // BINSTRING
      case 'X':  // BINUNICODE
        return PushText(reader_.U32Le());
      case 0x8d:  // BINUNICODE8
        return PushText(reader_.U64Le());
      case 'C':  // SHORT_BINBYTES
        reader_.Skip(reader_.U8());
        return Push(&kOpaqueValue);
      case 'B':  // BINBYTES
        reader_.Skip(reader_.U32Le());
        return Push(&kOpaqueValue);
      case 0x8e:  // BINBYTES8
      case 0x96:  // BYTEARRAY8
        reader_.Skip(reader_.U64Le());
        return Push(&kOpaqueValue);
      case ']':  // EMPTY_LIST
        return Push(New(Kind::kList));
      case '}':  // EMPTY_DICT
        return Push(New(Kind::kDict));
      case ')':  // EMPTY_TUPLE
        return Push(New(Kind::kTuple));
      default:
        return StepCollect();
    }
  }

  // Opcodes that make or fill a collection from values on the stack.
  absl::Status StepCollect() {
    switch (opcode_) {
      case 0x85:  // TUPLE1
      case 0x86:  // TUPLE2
      case 0x87:  // TUPLE3
        return Collect(Kind::kTuple, stack_.Pop(opcode_ - 0x84));
      case 't':  // TUPLE
        return Collect(Kind::kTuple, stack_.PopToMark());
      case 'l':  // LIST
        return Collect(Kind::kList, stack_.PopToMark());
      case 'd':  // DICT
        return Collect(Kind::kDict, stack_.PopToMark());
      case 0x91:  // FROZENSET
        VIT_RETURN_IF_ERROR(stack_.PopToMark().status());
        return Push(&kOpaqueValue);
      case 'a':  // APPEND
        return Extend(Kind::kList, stack_.Pop(1));
      case 'e':  // APPENDS
        return Extend(Kind::kList, stack_.PopToMark());
      case 's':  // SETITEM
        return Extend(Kind::kDict, stack_.Pop(2));
      case 'u':  // SETITEMS
        return Extend(Kind::kDict, stack_.PopToMark());
      case 0x90:  // ADDITEMS
        return Extend(Kind::kOpaque, stack_.PopToMark());
      default:
        return StepObject();
    }
  }

  // Opcodes that make Python import and call.
  absl::Status StepObject() {
    switch (opcode_) {
      case 'c': {  // GLOBAL
        VIT_ASSIGN_OR_RETURN(const absl::string_view module, Line());
        VIT_ASSIGN_OR_RETURN(const absl::string_view name, Line());
        return PushGlobal(module, name);
      }
      case 0x93: {  // STACK_GLOBAL
        VIT_ASSIGN_OR_RETURN(const PickleStack::Values names, stack_.Pop(2));
        if (names[0]->kind != Kind::kText || names[1]->kind != Kind::kText) {
          return Bad("a global's name is not a string");
        }
        return PushGlobal(names[0]->text, names[1]->text);
      }
      case 'R':     // REDUCE
      case 0x81: {  // NEWOBJ
        VIT_ASSIGN_OR_RETURN(const PickleStack::Values call, stack_.Pop(2));
        return Call(*call[0], *call[1]);
      }
      case 0x92: {  // NEWOBJ_EX
        VIT_ASSIGN_OR_RETURN(const PickleStack::Values call, stack_.Pop(3));
        return Call(*call[0], *call[1]);
      }
      case 'b': {  // BUILD
        VIT_RETURN_IF_ERROR(stack_.Pop().status());
        VIT_ASSIGN_OR_RETURN(const PickleValue* const object, stack_.Pop());
        // A state dict keeps its modules' versions this way; other objects' states are opaque
        // anyway.
        if (object->kind != Kind::kDict && object->kind != Kind::kOpaque) {
          return Bad(absl::StrCat("a state for ", PickleKindName(object->kind)));
        }
        return Push(object);
      }
      case 'Q': {  // BINPERSID
        VIT_ASSIGN_OR_RETURN(const PickleValue* const id, stack_.Pop());
        return PushStorage(*id);
      }
      default:
        return Bad("it is not supported; no file of weights needs it");
    }
  }

  absl::Status Put(size_t number) {
    VIT_ASSIGN_OR_RETURN(const PickleValue* const value, stack_.Top());
    return memo_.Put(number, value);
  }
  absl::Status Push(const absl::StatusOr<const PickleValue*>& value) {
    if (value.ok()) stack_.Push(*value);
    return value.status();
  }

  // --- values ---

  PickleValue* New(Kind kind) {
    PickleValue& value = result_.values_.emplace_back();
    value.kind = kind;
    return &value;
  }

  absl::Status PushInteger(int64_t integer) {
    PickleValue* const value = New(Kind::kInt);
    value->integer = integer;
    return Push(value);
  }
  absl::Status PushLong(size_t size) {
    int64_t integer;
    return IntegerFromBytes(reader_.Bytes(size), &integer) ? PushInteger(integer)
                                                           : Push(&kOpaqueValue);
  }
  absl::Status PushText(uint64_t size) {
    PickleValue* const value = New(Kind::kText);
    value->text = reader_.Bytes(size);
    return Push(value);
  }

  absl::Status Collect(Kind kind, absl::StatusOr<PickleStack::Values> items) {
    if (!items.ok()) return items.status();
    if (kind == Kind::kDict && items->size() % 2 != 0) return Bad("a key without a value");
    PickleValue* const value = New(kind);
    value->items = *std::move(items);
    return Push(value);
  }

  // Adds to the list or dict on top of the stack; what is added to an opaque value is dropped.
  absl::Status Extend(Kind kind, absl::StatusOr<PickleStack::Values> items) {
    if (!items.ok()) return items.status();
    if (kind == Kind::kDict && items->size() % 2 != 0) return Bad("a key without a value");
    VIT_ASSIGN_OR_RETURN(const PickleValue* const value, stack_.Pop());
    if (value->kind != Kind::kOpaque) {
      if (value->kind != kind) return Bad(absl::StrCat("items for ", PickleKindName(value->kind)));
      // Every value but kOpaqueValue was made by New.
      PickleStack::Values& all = const_cast<PickleValue*>(value)->items;
      all.insert(all.end(), items->begin(), items->end());
    }
    return Push(value);
  }

  // --- globals and calls ---

  // Reads the text up to the end of the line.
  absl::StatusOr<absl::string_view> Line() {
    const absl::string_view rest = bytes_.substr(reader_.position());
    const size_t size = rest.find('\n');
    if (size == absl::string_view::npos) return Bad("a global's name does not end");
    reader_.Skip(size + 1);
    return rest.substr(0, size);
  }

  absl::Status PushGlobal(absl::string_view module, absl::string_view name) {
    const PickleGlobal* const global = FindPickleGlobal(module, name);
    if (global == nullptr) {
      return Bad(absl::StrCat(
          "it refers to ", Quoted(absl::StrCat(module.substr(0, 60), ".", name.substr(0, 60))),
          ", which no state dict needs; none of it was run; save model.state_dict()"));
    }
    PickleValue* const value = New(Kind::kGlobal);
    value->global = global;
    return Push(value);
  }

  absl::Status Call(const PickleValue& callee, const PickleValue& arguments) {
    if (callee.kind != Kind::kGlobal || arguments.kind != Kind::kTuple) {
      return Bad(absl::StrCat("it calls ", PickleKindName(callee.kind), " with ",
                              PickleKindName(arguments.kind)));
    }
    const PickleStack::Values& items = arguments.items;
    const auto wrong = [&] {
      return Bad(absl::StrCat(callee.global->name, " does not take these arguments"));
    };
    switch (callee.global->role) {
      case Role::kDict:
        return items.empty() ? Push(New(Kind::kDict)) : wrong();
      case Role::kTensor:
      case Role::kTypedTensor:
        return PushTensor(*callee.global, items);
      case Role::kParameter:
        if (items.empty() || items[0]->kind != Kind::kTensor) return wrong();
        return Push(items[0]);
      case Role::kSize:
        if (items.size() != 1 || items[0]->kind != Kind::kTuple) return wrong();
        return Push(items[0]);
      case Role::kOpaque:
        return Push(&kOpaqueValue);
      case Role::kStorage:
      case Role::kDtype:
        break;
    }
    return Bad(absl::StrCat("it calls ", callee.global->name));
  }

  // ('storage', kind, key, location, size in values)
  absl::Status PushStorage(const PickleValue& id) {
    if (id.kind != Kind::kTuple || id.items.size() < 5 || id.items[0]->kind != Kind::kText ||
        id.items[0]->text != "storage" || id.items[1]->kind != Kind::kGlobal ||
        id.items[1]->global->role != Role::kStorage || id.items[2]->kind != Kind::kText ||
        id.items[4]->kind != Kind::kInt || id.items[4]->integer < 0) {
      return Bad("it does not describe a storage");
    }
    PickleValue* const value = New(Kind::kStorage);
    value->storage = &result_.storages_.emplace_back(
        PickleStorage{id.items[2]->text, id.items[1]->global, id.items[4]->integer});
    return Push(value);
  }

  // (storage, offset, sizes, strides, requires_grad, hooks, and for kTypedTensor the dtype)
  absl::Status PushTensor(const PickleGlobal& rebuild, const PickleStack::Values& arguments) {
    const bool typed = rebuild.role == Role::kTypedTensor;
    if (arguments.size() < (typed ? 7 : 4) || arguments[0]->kind != Kind::kStorage ||
        arguments[1]->kind != Kind::kInt || arguments[1]->integer < 0 ||
        (typed &&
         (arguments[6]->kind != Kind::kGlobal || arguments[6]->global->role != Role::kDtype))) {
      return Bad(absl::StrCat(rebuild.name, " does not take these arguments"));
    }
    PickleTensor tensor = {arguments[0]->storage,
                           typed ? arguments[6]->global : arguments[0]->storage->kind,
                           arguments[1]->integer};
    VIT_ASSIGN_OR_RETURN(tensor.sizes, Dimensions(*arguments[2], "size"));
    VIT_ASSIGN_OR_RETURN(tensor.strides, Dimensions(*arguments[3], "stride"));
    if (tensor.sizes.size() != tensor.strides.size()) {
      return Bad("a tensor does not have one stride for each size");
    }
    PickleValue* const value = New(Kind::kTensor);
    value->tensor = &result_.tensors_.emplace_back(std::move(tensor));
    return Push(value);
  }

  absl::StatusOr<std::vector<int64_t>> Dimensions(const PickleValue& value,
                                                  absl::string_view what) const {
    if (value.kind != Kind::kTuple && value.kind != Kind::kList) {
      return Bad(absl::StrCat("a tensor's ", what, " is not a tuple"));
    }
    if (value.items.size() > kMaxDimensions) {
      return Bad(absl::StrCat("a tensor of more than ", kMaxDimensions, " dimensions"));
    }
    std::vector<int64_t> dimensions;
    for (const PickleValue* const item : value.items) {
      if (item->kind != Kind::kInt || item->integer < 0) {
        return Bad(absl::StrCat("a tensor's ", what, " is not a whole number of at least 0"));
      }
      dimensions.push_back(item->integer);
    }
    return dimensions;
  }

  absl::string_view bytes_;
  BoundedReader reader_;
  uint8_t opcode_ = 0;
  PickleStack stack_;
  PickleMemo memo_;
  Pickle result_;
};

absl::StatusOr<Pickle> Pickle::Read(absl::string_view bytes) {
  absl::StatusOr<Pickle> result = PickleReader(bytes).Read();
  if (!result.ok()) return Annotate(result.status(), "pickle");
  return result;
}

}  // namespace vit
