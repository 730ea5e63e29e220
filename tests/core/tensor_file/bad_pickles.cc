#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/core/tensor_file/bad_files.h"
#include "tests/core/tensor_file/zip_builder.h"

namespace vit {
namespace {

using std::string_literals::operator""s;

// Pieces of pickles: each leaves one value on the stack.
std::string Text(const std::string& text) { return "X" + Le(text.size(), 4) + text; }
std::string Int(int64_t value) { return "\x8a\x08" + Le(value, 8); }
std::string Global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
std::string Tuple(const std::string& items) { return "(" + items + "t"; }
std::string Dict(const std::string& keys_and_values) { return "}(" + keys_and_values + "u"; }
std::string Call(const std::string& callee, const std::string& arguments) {
  return callee + Tuple(arguments) + "R";
}

std::string Storage(const std::string& kind, int64_t size, const std::string& key = "0") {
  return Tuple(Text("storage") + Global("torch", kind) + Text(key) + Text("cpu") + Int(size)) + "Q";
}
std::string Tensor(const std::string& storage, const std::string& offset, const std::string& sizes,
                   const std::string& strides) {
  return Call(Global("torch._utils", "_rebuild_tensor_v2"),
              storage + offset + Tuple(sizes) + Tuple(strides) + "\x89" +
                  Call(Global("collections", "OrderedDict"), ""));
}
std::string GoodTensor() { return Tensor(Storage("FloatStorage", 4), Int(0), Int(4), Int(1)); }

std::string Program(const std::string& value) { return "\x80\x02" + value + "."; }
// The value is a tensor of the state dict, or stands in for one.
std::string StateDict(const std::string& value) { return Program(Dict(Text("a") + value)); }

// A file with this pickle, and a storage of 16 bytes.
std::vector<ZipPart> Parts(const std::string& pickle) {
  return {{"x/data.pkl", pickle},
          {"x/byteorder", "little"},
          {"x/data/0", std::string(16, '\0')},
          {"x/version", "3\n"}};
}
std::string Archive(const std::string& pickle) { return MakeZip(Parts(pickle)).bytes; }

void AddOpcodes(std::vector<BadFile>* files) {
  const auto program = [&](absl::string_view what, const std::string& pickle, const char* message) {
    files->push_back({absl::StrCat("pickle: ", what), Archive(pickle), message});
  };
  program("empty", "", "does not begin as a pickle");
  program("text", "hello", "does not begin as a pickle");
  for (const int protocol : {0, 1, 6, 255}) {
    program(absl::StrCat("protocol ", protocol), "\x80" + Le(protocol, 1) + "N.", "2 to 5 are");
  }
  program("no STOP", "\x80\x02N", "it ends without STOP");
  program("nothing at STOP", "\x80\x02.", "something other than one value");
  program("two values at STOP", "\x80\x02NN.", "something other than one value");
  program("a MARK at STOP", "\x80\x02(N.", "something other than one value");
  program("bytes after STOP", "\x80\x02N.N", "bytes follow its STOP");
  // Text opcodes of protocol 0, extensions, instances, buffers outside of the pickle.
  for (const int opcode :
       std::initializer_list<int>{'I', 'L', 'F', 'S', 'V', 'P', 'p', 'g', 'i', 'o', 0x80, 0x82,
                                  0x83, 0x84, 0x97, 0x98, 0x00, 0xff}) {
    program(absl::StrFormat("opcode 0x%02x", opcode), "\x80\x02N" + Le(opcode, 1) + "1\n.",
            "no file of weights needs it");
  }
  for (const int opcode : std::initializer_list<int>{'0',  '2',  '1',  't',  'l',  'd',  'e',  'u',
                                                     'a',  's',  'R',  'b',  'Q',  'q',  0x81, 0x85,
                                                     0x86, 0x87, 0x90, 0x91, 0x92, 0x93, 0x94}) {
    program(absl::StrFormat("opcode 0x%02x on an empty stack", opcode),
            "\x80\x02" + Le(opcode, 1) + "\0."s, "at byte 2: there is ");
  }
  for (const int opcode : std::initializer_list<int>{0x87, 'R', 's', 'a', 'b'}) {
    program(absl::StrFormat("opcode 0x%02x across a MARK", opcode),
            "\x80\x02}]N(" + Le(opcode, 1) + ".", "not enough on the stack for it");
  }
  const struct {
    const char* name;
    std::string opcode;
  } kCut[] = {{"BININT", "J\1\2"s},
              {"BININT2", "M\1"s},
              {"LONG1", "\x8a\xff"s},
              {"LONG4", "\x8b" + Le(0x80000000, 4)},
              {"BINFLOAT", "G\1\2\3"s},
              {"SHORT_BINUNICODE", "\x8c\xffx"s},
              {"BINUNICODE", "X" + Le(~0U, 4)},
              {"BINUNICODE8 of 2^63", "\x8d" + Le(uint64_t{1} << 63, 8)},
              {"BINUNICODE8 of 2^64 - 1", "\x8d" + Le(~uint64_t{0}, 8)},
              {"BINSTRING", "T" + Le(1000, 4)},
              {"SHORT_BINBYTES", "C\xff"s},
              {"BINBYTES", "B" + Le(~0U, 4)},
              {"BINBYTES8 of 2^63", "\x8e" + Le(uint64_t{1} << 63, 8)},
              {"BYTEARRAY8 of 2^64 - 1", "\x96" + Le(~uint64_t{0}, 8)},
              {"BINPUT", "Nq"s},
              {"LONG_BINGET", "j\0\0"s}};
  for (const auto& [name, opcode] : kCut) {
    program(absl::StrCat(name, " that leaves the pickle"), "\x80\x05" + opcode,
            "its argument extends beyond the pickle");
  }
  program("a frame of 2^63", "\x80\x04\x95" + Le(uint64_t{1} << 63, 8) + "N.", "the frame extends");
  program("a frame one byte too long", "\x80\x04\x95" + Le(3, 8) + "N.", "the frame extends");
  program("memo 0 before it is put", "\x80\x02h\0."s, "memo 0 was never stored");
  program("memo 2^32 - 1 got", "\x80\x02j" + Le(~0U, 4) + ".", "memo 4294967295 was never stored");
  program("memo 2^32 - 1 put", "\x80\x02Nr" + Le(~0U, 4) + ".", "memo 4294967295, but 0 is");
  program("memo 2 put first", "\x80\x02Nq\2.", "memo 2, but 0 is the next");
  program("a key without a value", "\x80\x02}(Nu.", "a key without a value");
  program("a dict of three things", "\x80\x02(NNNd.", "a key without a value");
  program("items for a number", "\x80\x02K\1(NNu.", "items for a number");
  program("items for a tuple", "\x80\x02)Na.", "items for a tuple");
  program("a list's items for a dict", "\x80\x02}Na.", "items for a dict");
  program("a dict's items for a list", "\x80\x02]NNs.", "items for a list");
  program("a set's items for a list", "\x80\x02](N\x90.", "items for a list");
  program("a state for a number", "\x80\x02K\1Nb.", "a state for a number");
}

void AddGlobals(std::vector<BadFile>* files) {
  const auto program = [&](absl::string_view what, const std::string& value, const char* message) {
    files->push_back({absl::StrCat("global: ", what), Archive(Program(value)), message});
  };
  const std::string command = Text("touch /tmp/owned");
  program("os.system", Call(Global("os", "system"), command),
          "it refers to 'os.system', which no state dict needs");
  program("posix.system", Call(Global("posix", "system"), command), "'posix.system'");
  program("nt.system", Call(Global("nt", "system"), command), "'nt.system'");
  program("os.system by protocol 4", Text("os") + Text("system") + "\x93" + Tuple(command) + "R",
          "'os.system'");
  program("subprocess.Popen", Call(Global("subprocess", "Popen"), command), "'subprocess.Popen'");
  program("builtins.eval", Call(Global("builtins", "eval"), command), "'builtins.eval'");
  program("builtins.exec", Call(Global("__builtin__", "exec"), command), "'__builtin__.exec'");
  program("builtins.getattr", Global("builtins", "getattr"), "'builtins.getattr'");
  program("torch.load", Call(Global("torch.serialization", "load"), command),
          "'torch.serialization.load'");
  program("a class of a model",
          Global("torchvision.models.vision_transformer", "VisionTransformer"),
          "save model.state_dict()");
  program("a sparse tensor", Global("torch._utils", "_rebuild_sparse_tensor"),
          "'torch._utils._rebuild_sparse_tensor'");
  program("a quantised tensor", Global("torch._utils", "_rebuild_qtensor"), "_rebuild_qtensor'");
  program("an attribute of a known one", Global("collections", "OrderedDict.fromkeys"),
          "'collections.OrderedDict.fromkeys'");
  program("a known name in another module", Global("os", "OrderedDict"), "'os.OrderedDict'");
  program("an empty name", Global("", ""), "'.'");
  program("an endless name", Global(std::string(100'000, 'x'), "y"), "xxx.y'");
  program("a name with escapes", Global("o\x1b[31ms", "system"), "'o\\x1b[31ms.system'");
  program("a name without its end", "cos", "a global's name does not end");
  program("a name that is a number", "K\1" + Text("system") + "\x93",
          "a global's name is not a string");
  program("a call of a text", Call(Text("os.system"), command), "it calls a string with a tuple");
  program("a call of a dict", Call("}", command), "it calls a dict");
  program("a call without a tuple", Global("collections", "OrderedDict") + "]R", "with a list");
  program("a call of a storage's kind", Call(Global("torch", "FloatStorage"), Int(1)),
          "it calls FloatStorage");
  program("a call of a dtype", Call(Global("torch", "float32"), Int(1)), "it calls float32");
  program("an OrderedDict of something", Call(Global("collections", "OrderedDict"), "]"),
          "OrderedDict does not take these arguments");
  program("a parameter that is no tensor",
          Call(Global("torch._utils", "_rebuild_parameter"), "]\x88]"), "does not take these");
  program("a size that is no tuple", Call(Global("torch", "Size"), "]"), "does not take these");
  program("a new object of an unknown class", Global("os", "_wrap_close") + ")\x81", "'os._wrap");
}

void AddTensors(std::vector<BadFile>* files) {
  const auto tensor = [&](absl::string_view what, const std::string& value, const char* message) {
    files->push_back({absl::StrCat("tensor: ", what), Archive(StateDict(value)), message});
  };
  const std::string storage = Storage("FloatStorage", 4);
  const std::string rebuild = Global("torch._utils", "_rebuild_tensor_v2");
  tensor("no arguments", Call(rebuild, ""), "_rebuild_tensor_v2 does not take these arguments");
  tensor("no storage", Tensor("N", Int(0), Int(4), Int(1)), "does not take these arguments");
  tensor("an offset that is none", Tensor(storage, "N", Int(4), Int(1)), "does not take these");
  tensor("a negative offset", Tensor(storage, Int(-1), Int(4), Int(1)), "does not take these");
  tensor("a size that is a number", Call(rebuild, storage + Int(0) + Int(4) + Int(1)),
         "a tensor's size is not a tuple");
  tensor("a negative size", Tensor(storage, Int(0), Int(-4), Int(1)), "size is not a whole number");
  tensor("a negative stride", Tensor(storage, Int(3), Int(4), Int(-1)), "stride is not a whole");
  tensor("a size that is a text", Tensor(storage, Int(0), Text("4"), Int(1)),
         "size is not a whole");
  tensor("a size beyond 2^64", Tensor(storage, Int(0), "\x8a\x09" + Le(0, 8) + "\1", Int(1)),
         "size is not a whole number");
  tensor("too few strides", Tensor(storage, Int(0), Int(2) + Int(2), Int(1)),
         "one stride for each");
  tensor(
      "17 dimensions",
      [&] {
        std::string ones;
        for (int i = 0; i < 17; ++i) ones += "K\1";
        return Tensor(storage, Int(0), ones, ones);
      }(),
      "more than 16 dimensions");
  tensor(
      "a size too large", Tensor(storage, Int(0), Int(5), Int(1)),
      "tensor 'a': shape [5] with strides [1] from value 0 extends beyond its storage of 4 values");
  tensor("a stride too large", Tensor(storage, Int(0), Int(2), Int(4)),
         "extends beyond its storage");
  tensor("an offset too large", Tensor(storage, Int(1), Int(4), Int(1)),
         "extends beyond its storage");
  tensor("an offset beyond, empty", Tensor(storage, Int(5), Int(0), Int(1)),
         "extends beyond its storage");
  const int64_t large = int64_t{1} << 62;
  tensor("an offset of 2^63 - 1", Tensor(storage, Int(INT64_MAX), Int(4), Int(1)),
         "extends beyond its");
  tensor("a size of 2^62", Tensor(storage, Int(0), Int(large), Int(1)),
         "extends beyond its storage");
  tensor("a size of 2^62 that stays in place", Tensor(storage, Int(0), Int(large), Int(0)),
         "extends beyond its storage");
  tensor("one value seen as five", Tensor(storage, Int(0), Int(5), Int(0)), "is expanded from a");
  tensor("2^60 values in one place",
         Tensor(storage, Int(0), Int(1 << 30) + Int(1 << 30), Int(0) + Int(0)),
         "is expanded from a storage of 4 values; save its .clone()");
  tensor("sizes whose product is 2^64 + 4",
         Tensor(storage, Int(0), Int(large + 1) + Int(4), Int(0) + Int(0)),
         "extends beyond its storage");
  tensor("strides of 2^62", Tensor(storage, Int(0), Int(2) + Int(2), Int(large) + Int(large)),
         "extends beyond its storage");
  tensor("strides whose sum is 2^64",
         Tensor(storage, Int(0), Int(3) + Int(1), Int(INT64_MAX) + Int(INT64_MAX)),
         "extends beyond its");
  tensor("an empty tensor with an overflow",
         Tensor(storage, Int(0), Int(0) + Int(large) + Int(large), Int(1) + Int(1) + Int(1)),
         "extends beyond its storage");
  tensor("complex numbers", Tensor(Storage("ComplexFloatStorage", 2), Int(0), Int(2), Int(1)),
         "unsupported dtype 'ComplexFloatStorage'; convert it");
  const auto typed = [&](const std::string& dtype) {
    return Call(Global("torch._utils", "_rebuild_tensor_v3"),
                Tuple(Text("storage") + Global("torch.storage", "UntypedStorage") + Text("0") +
                      Text("cpu") + Int(16)) +
                    "Q" + Int(0) + Tuple(Int(4)) + Tuple(Int(1)) + "\x89" + "}" + dtype);
  };
  tensor("8-bit floats", typed(Global("torch", "float8_e4m3fn")),
         "unsupported dtype 'float8_e4m3fn'");
  tensor("unsigned 16-bit numbers", typed(Global("torch", "uint16")), "unsupported dtype 'uint16'");
  tensor("a dtype that is a text", typed(Text("float32")), "does not take these arguments");
  tensor("a dtype larger than its values", typed(Global("torch", "int64")),
         "extends beyond its storage of 2");

  const auto stored = [&](absl::string_view what, const std::string& id, const char* message) {
    tensor(what, Tensor(id, Int(0), Int(4), Int(1)), message);
  };
  const std::string kind = Global("torch", "FloatStorage");
  stored("a storage without an id", Tuple("") + "Q", "it does not describe a storage");
  stored("a storage that is a text", Text("0") + "Q", "it does not describe a storage");
  stored("another persistent thing",
         Tuple(Text("module") + kind + Text("0") + Text("cpu") + Int(4)) + "Q",
         "does not describe");
  stored("a storage of an unknown kind",
         Tuple(Text("storage") + Text("Float") + Text("0") + Text("cpu") + Int(4)) + "Q",
         "does not describe a storage");
  stored(
      "a storage of a dtype's kind",
      Tuple(Text("storage") + Global("torch", "float32") + Text("0") + Text("cpu") + Int(4)) + "Q",
      "does not describe a storage");
  stored("a storage whose key is a number",
         Tuple(Text("storage") + kind + Int(0) + Text("cpu") + Int(4)) + "Q", "does not describe");
  stored("a storage of negative size", Storage("FloatStorage", -4), "does not describe a storage");
  stored("a storage that is not there", Storage("FloatStorage", 4, "1"), "'x/data/1' are missing");
  stored("a storage above its folder", Storage("FloatStorage", 4, "../version"), "are missing");
  stored("a storage with too many values", Storage("FloatStorage", 5),
         "a FloatStorage of 5 values does not fit the 16 bytes of 'x/data/0'");
  stored("a storage with too few values", Storage("FloatStorage", 3), "of 3 values does not fit");
  stored("a storage of larger values", Storage("DoubleStorage", 4), "DoubleStorage of 4 values");
  stored("a storage of 2^62 values", Storage("FloatStorage", large), "does not fit the 16 bytes");
  stored("a storage of 2^62 + 4 values", Storage("FloatStorage", large + 4), "does not fit the 16");
}

void AddStateDicts(std::vector<BadFile>* files) {
  const auto program = [&](absl::string_view what, const std::string& value, const char* message) {
    files->push_back({absl::StrCat("state dict: ", what), Archive(Program(value)), message});
  };
  program("none", "N", "the file holds no dict");
  program("a tensor", GoodTensor(), "the file holds no dict; save model.state_dict()");
  program("a list of tensors", "](" + GoodTensor() + "e", "the file holds no dict");
  program("empty", "}", "no state dict: the file holds nothing with a name");
  program("no tensors", Dict(Text("epoch") + Int(3) + Text("args") + "N"),
          "the file holds 'epoch', 'args' and no named tensors; save model.state_dict()");
  program("two tensors of one name",
          Dict(Text("a") + Dict(Text("b") + GoodTensor()) + Text("a.b") + GoodTensor()),
          "two tensors are called 'a.b'");
  program("nested too deep",
          Dict(Text("model") +
               Dict(Text("model") + Dict(Text("model") + Dict(Text("a") + GoodTensor())))),
          "no state dict");
  program("names that are numbers", Dict(Int(0) + GoodTensor()), "no state dict");
  program("a tensor without a name", Dict(Text("") + GoodTensor()), "its name is empty");
  program("a name that is not UTF-8", Dict(Text("\xff") + GoodTensor()), "'\\xff': its name is");
  program("a name with a newline", Dict(Text("a\nb") + GoodTensor()), "'a\\nb': its name is");
  // Values that hold themselves.
  program("a dict that is its own model", "}q\0"s + Text("model") + "h\0s"s, "no state dict");
  program("a list that holds itself", "]q\0h\0a"s, "the file holds no dict");
  // 2^60 values, if all were visited.
  std::string laughs = ")";
  for (int i = 0; i < 60; ++i) laughs += "2\x86";
  program("a billion laughs by DUP", laughs, "the file holds no dict");
  program("a billion laughs as the model", Dict(Text("model") + laughs), "holds 'model'");
  std::string memo = "}q\0"s;
  for (int i = 1; i < 60; ++i) {
    memo += "0}(" + Text("model") + "h" + Le(i - 1, 1) + Text("module") + "h" + Le(i - 1, 1) +
            "uq" + Le(i, 1);
  }
  program("a billion laughs by keys", memo, "no state dict");
  program("a thousand lists in one another", std::string(1000, ']') + std::string(999, 'a'),
          "the file holds no dict");
}

void AddBombs(std::vector<BadFile>* files) {
  const auto program = [&](absl::string_view what, const std::string& pickle) {
    files->push_back({absl::StrCat("bomb: ", what), Archive("\x80\x04" + pickle),
                      "values; save the state dict alone"});
  };
  program("a million lists", std::string(1'000'000, ']'));
  program("a million numbers", [] {
    std::string ones;
    for (int i = 0; i < 1'000'000; ++i) ones += "K\1";
    return ones;
  }());
  program("millions of memo entries", "N" + std::string(5'000'000, '\x94'));
  program("millions of copies", "N" + std::string(5'000'000, '2'));
  program("millions of marks", std::string(5'000'000, '('));
  program("lists in one another, a million deep",
          std::string(1'000'000, ']') + std::string(999'999, 'a') + ".");
}

}  // namespace

std::vector<BadFile> BadPickles() {
  std::vector<BadFile> files;
  AddOpcodes(&files);
  AddGlobals(&files);
  AddTensors(&files);
  AddStateDicts(&files);
  AddBombs(&files);
  // Every value of the good pickle is needed for the next.
  const std::string good = StateDict(GoodTensor());
  for (size_t size = 3; size < good.size(); size += 7) {
    files.push_back({absl::StrCat("pickle: cut after ", size, " bytes"),
                     Archive(good.substr(0, size)), "pickle: "});
  }
  return files;
}

std::vector<BadFile> BadPytorchArchives() {
  const std::string good = StateDict(GoodTensor());
  std::vector<BadFile> files;
  const auto with = [&](absl::string_view what, const ZipPart& part, const char* message) {
    std::vector<ZipPart> parts = Parts(good);
    bool replaced = false;
    for (ZipPart& old : parts) {
      if (old.name == part.name) {
        old = part;
        replaced = true;
      }
    }
    if (!replaced) parts.push_back(part);
    files.push_back({absl::StrCat("archive: ", what), MakeZip(parts).bytes, message});
  };
  with("two pickles", {"y/data.pkl", good}, "more than one data.pkl");
  with("TorchScript's constants", {"x/constants.pkl", good}, "it is a TorchScript program");
  with("TorchScript's code", {"x/code/__torch__.py", "def f(): ..."},
       "it is a TorchScript program");
  with("big-endian", {"x/byteorder", "big"}, "byte order 'big'");
  with("an unknown byte order", {"x/byteorder", std::string(10'000, 'x')}, "xxx...'");
  with("a newer version", {"x/version", "11\n"}, "version '11\\n' of the layout; 1 to 10");
  with("a version that is no number", {"x/version", "three"}, "version 'three'");
  with("version 0", {"x/version", "0"}, "version '0'");
  with("a compressed pickle", {"x/data.pkl", good, /*deflated=*/true}, "it is compressed");
  with("a compressed storage", {"x/data/0", std::string(16, '\0'), /*deflated=*/true},
       "it is compressed");
  with("a storage cut in half", {"x/data/0", std::string(8, '\0')},
       "a FloatStorage of 4 values does not fit the 8 bytes");
  with("an empty storage", {"x/data/0", ""}, "does not fit the 0 bytes");
  std::vector<ZipPart> bools =
      Parts(StateDict(Tensor(Storage("BoolStorage", 2), Int(0), Int(2), Int(1))));
  bools[2].contents = "\1\2";
  files.push_back({"archive: a bool of 2", MakeZip(bools).bytes, "a bool is neither 0 nor 1"});
  const Zip zip = MakeZip(Parts(good));
  files.push_back({"archive: a damaged storage", zip.Patched(zip.data[2], 1, 1),
                   "'x/data/0': it does not match its checksum"});
  files.push_back({"archive: a damaged pickle", zip.Patched(zip.data[0] + 10, 1, 1),
                   "'x/data.pkl': it does not match its checksum"});
  Zip unchecked = zip;
  for (const size_t crc : {zip.local[2] + 14, zip.central[2] + 16}) {
    unchecked.bytes = unchecked.Patched(crc, 0, 4);
  }
  unchecked.bytes = unchecked.Patched(zip.data[2], 1, 1);
  files.push_back({"archive: saved without checksums", unchecked.bytes,
                   "torch.serialization.set_crc32_options(True)"});
  return files;
}

}  // namespace vit
