#include "absl/strings/str_cat.h"
#include "tests/core/tensor_file/bad_files.h"
#include "tests/core/tensor_file/zip_builder.h"

namespace vit {
namespace {

std::string File(const std::string& header, const std::string& data = "") {
  return Le(header.size(), 8) + header + data;
}

// One tensor 'a' with these fields, and the data.
std::string Tensor(const std::string& dtype, const std::string& shape, const std::string& offsets,
                   const std::string& data) {
  return File(absl::StrCat(R"({"a":{"dtype":)", dtype, R"(,"shape":)", shape, R"(,"data_offsets":)",
                           offsets, "}}"),
              data);
}
std::string Shape(const std::string& shape) {
  return Tensor(R"("F32")", shape, "[0,4]", std::string(4, '\0'));
}
std::string Dtype(const std::string& dtype) {
  return Tensor(dtype, "[4]", "[0,4]", std::string(4, '\0'));
}
std::string Offsets(const std::string& offsets) {
  return Tensor(R"("U8")", "[4]", offsets, std::string(4, '\0'));
}

}  // namespace

std::vector<BadFile> BadSafetensors() {
  const std::string four(4, '\0');
  const std::string good = R"("dtype":"U8","shape":[4],"data_offsets":[0,4])";
  const std::string form = "expected dtype, shape and two data_offsets";
  const std::string whole = "not a whole number of at least 0";
  std::vector<BadFile> files = {
      {"length only, huge", Le(uint64_t{1} << 63, 8) + "{}", "header of 9223372036854775808"},
      {"length of all ones", Le(~uint64_t{0}, 8) + "{}", "header of 18446744073709551615"},
      {"length one too many", Le(3, 8) + "{}", "header of 3 bytes in a file with 2"},
      {"length above the limit", Le(100'000'001, 8) + "{}", "at most 100000000"},
      {"length one too few", Le(1, 8) + "{}", "not valid JSON at byte 2"},
      {"header missing its end", File("{"), "not valid JSON"},
      {"cut in a name", File(R"({"a)"), "not valid JSON"},
      {"cut after a name", File(R"({"a")"), "not valid JSON"},
      {"cut in a tensor", File(R"({"a":{"dtype":"U8")"), "not valid JSON"},
      {"cut in a shape", File(R"({"a":{"dtype":"U8","shape":[4)"), "not valid JSON"},
      {"cut before the last brace", File("{\"a\":{" + good + "}", four), "not valid JSON"},
      {"text after the header", File("{\"a\":{" + good + "}}x", four), "not valid JSON"},
      {"two headers", File("{}{}"), "not valid JSON"},
      {"NaN as a dimension", Shape("[NaN]"), "not valid JSON"},
      {"NaN as a tensor", File(R"({"a":NaN})"), "not valid JSON"},
      {"Infinity as an offset", Offsets("[0,Infinity]"), "not valid JSON"},
      {"trailing comma", File("{\"a\":{" + good + "},}", four), "not valid JSON"},
      {"a comment", File("{/**/\"a\":{" + good + "}}", four), "not valid JSON"},
      {"single quotes", File("{'a':{" + good + "}}", four), "not valid JSON"},
      {"a name that is not UTF-8", File("{\"\xff\":{" + good + "}}", four), "not valid JSON"},
      {"a name with a raw newline", File("{\"a\nb\":{" + good + "}}", four), "not valid JSON"},
      {"half a surrogate pair", File("{\"\\ud800\":{" + good + "}}", four), "not valid JSON"},
      {"a number out of range", Shape("[1e999]"), "not valid JSON"},
      {"deep nesting of arrays", File("{\"a\":" + std::string(100'000, '[')), form},
      {"deep nesting of objects", File("{\"a\":{\"shape\":" + std::string(1000, '{')), form},
      {"deep nesting in metadata", File(R"({"__metadata__":{"a":[[[[[[[[1]]]]]]]]}})"),
       "__metadata__ holds a value that is not text"},
      {"a tensor twice", File("{\"a\":{" + good + "},\"a\":{" + good + "}}", four),
       "names 'a' twice"},
      {"a tensor twice, once escaped",
       File("{\"a\":{" + good + "},\"\\u0061\":{" + good + "}}", four), "names 'a' twice"},
      {"dtype twice", File("{\"a\":{\"dtype\":\"F32\"," + good + "}}", four),
       "dtype is given twice"},
      {"shape twice", File("{\"a\":{\"shape\":[1]," + good + "}}", four), "shape is given twice"},
      {"offsets twice", File("{\"a\":{\"data_offsets\":[0,1]," + good + "}}", four),
       "data_offsets is given twice"},
      {"metadata twice", File(R"({"__metadata__":{},"__metadata__":{}})"),
       "names '__metadata__' twice"},
      {"a metadata key twice", File(R"({"__metadata__":{"k":"1","k":"2"}})"),
       "__metadata__ names 'k' twice"},
      {"metadata a list", File(R"({"__metadata__":[]})"), "__metadata__ is not an object"},
      {"metadata a text", File(R"({"__metadata__":"x"})"), "__metadata__ is not an object"},
      {"metadata with a number", File(R"({"__metadata__":{"a":1}})"), "not text"},
      {"metadata with a null", File(R"({"__metadata__":{"a":null}})"), "not text"},
      {"a tensor that is a number", File(R"({"a":1})"), form},
      {"a tensor that is null", File(R"({"a":null})"), form},
      {"a tensor that is a list", File(R"({"a":[1,2]})"), form},
      {"a tensor that is a text", File(R"({"a":"F32"})"), form},
      {"a tensor that is empty", File(R"({"a":{}})"), form},
      {"no dtype", File(R"({"a":{"shape":[4],"data_offsets":[0,4]}})", four), form},
      {"no shape", File(R"({"a":{"dtype":"U8","data_offsets":[0,4]}})", four), form},
      {"no offsets", File(R"({"a":{"dtype":"U8","shape":[4]}})", four), form},
      {"an unknown field", File("{\"a\":{\"x\":1," + good + "}}", four), "unknown field 'x'"},
      {"an 8-bit float", Dtype(R"("F8_E4M3")"), "unsupported dtype 'F8_E4M3'; convert it"},
      {"another 8-bit float", Dtype(R"("F8_E5M2")"), "unsupported dtype 'F8_E5M2'"},
      {"unsigned 16-bit numbers", Dtype(R"("U16")"), "unsupported dtype 'U16'"},
      {"complex numbers", Dtype(R"("C64")"), "unsupported dtype 'C64'"},
      {"a dtype in small letters", Dtype(R"("f32")"), "unsupported dtype 'f32'"},
      {"an endless dtype", Dtype("\"" + std::string(5000, 'F') + "\""), "FFF...'"},
      {"a dtype that is a number", Dtype("32"), form},
      {"a dtype that is a list", Dtype(R"(["F32"])"), form},
      {"a shape that is a number", Shape("1"), form},
      {"a shape that is a text", Shape(R"("1")"), form},
      {"a shape within a shape", Shape("[[1]]"), form},
      {"a dimension that is a text", Shape(R"(["1"])"), form},
      {"a negative dimension", Shape("[-1]"), whole},
      {"a dimension with a fraction", Shape("[1.5]"), whole},
      {"a dimension with an exponent", Shape("[1e0]"), whole},
      {"a dimension that is true", Shape("[true]"), whole},
      {"a dimension of 2^63", Shape("[9223372036854775808]"), "shape overflows"},
      {"a dimension of 2^64", Shape("[18446744073709551616]"), whole},
      {"a product of 2^64", Shape("[4294967296,4294967296]"), "shape overflows"},
      {"a product of 2^64 + 4", Shape("[4611686018427387905]"), "shape overflows"},
      {"an empty tensor with an overflow", Shape("[0,9223372036854775807,9]"), "shape overflows"},
      {"17 dimensions", Shape("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"), "more than 16 dimensions"},
      {"a shape too large", Shape("[2]"), "needs 8 bytes, the offsets give 4"},
      {"a shape too small", Shape("[0]"), "needs 0 bytes, the offsets give 4"},
      {"one offset", Offsets("[4]"), form},
      {"three offsets", Offsets("[0,4,4]"), form},
      {"no offsets in their list", Offsets("[]"), form},
      {"a negative offset", Offsets("[-4,0]"), whole},
      {"an offset with a fraction", Offsets("[0,4.0]"), whole},
      {"offsets the wrong way round", Offsets("[4,0]"), "offsets 4 to 0 are outside"},
      {"offsets beyond the file", Offsets("[0,5]"), "are outside the file's 4 bytes of data"},
      {"offsets of 2^64 - 1", Offsets("[18446744073709551611,18446744073709551615]"),
       "are outside the file's 4 bytes"},
      {"a cut in the data", Tensor(R"("U8")", "[4]", "[0,4]", "abc"),
       "are outside the file's 3 bytes"},
      {"data beyond the tensors", Tensor(R"("U8")", "[4]", "[0,4]", "abcde"),
       "the tensors take 4 bytes, the file holds 5"},
      {"data without tensors", File("{}", "abcd"), "the tensors take 0 bytes, the file holds 4"},
      {"a hole at the beginning", Tensor(R"("U8")", "[3]", "[1,4]", four),
       "a hole before its values: bytes 0 to 1"},
      {"a bool of 2", Tensor(R"("BOOL")", "[1]", "[0,1]", "\2"), "a bool is neither 0 nor 1"},
  };
  const auto two = [&](const std::string& first, const std::string& second, size_t bytes) {
    return File(absl::StrCat(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)", first,
                             R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)", second, "}}"),
                std::string(bytes, '\0'));
  };
  files.push_back({"two tensors in one place", two("[0,2]", "[0,2]", 2), "overlap"});
  files.push_back({"two tensors that share a byte", two("[0,2]", "[1,3]", 3), "overlap"});
  files.push_back({"a hole between two tensors", two("[0,2]", "[3,5]", 5),
                   "a hole before its values: bytes 2 to 3"});
  return files;
}

}  // namespace vit
