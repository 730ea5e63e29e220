#include "absl/strings/str_cat.h"
#include "tests/core/tensor_file/bad_files.h"
#include "tests/core/tensor_file/zip_builder.h"

namespace vit {
namespace {

std::string Dict(absl::string_view descr, absl::string_view order, absl::string_view shape) {
  return absl::StrCat("{'descr': ", descr, ", 'fortran_order': ", order, ", 'shape': ", shape, "}");
}

// Archives of one array.
std::string Archive(const std::string& contents, bool deflated = false,
                    const std::string& name = "a.npy") {
  return MakeZip({{name, contents, deflated}}).bytes;
}

void AddBeginnings(std::vector<BadFile>* files) {
  const std::string array = FloatArray("(2,)", 2);
  const auto changed = [&](size_t at, char value) {
    std::string bytes = array;
    bytes[at] = value;
    return Archive(bytes);
  };
  files->push_back({"an empty entry", Archive(""), "it ends after 0 bytes, too early"});
  files->push_back({"a wrong magic", changed(0, '\0'), "does not begin as a NumPy array"});
  files->push_back({"version 0.0", changed(6, 0), "version 0.0 is not supported"});
  files->push_back({"version 1.1", changed(7, 1), "version 1.1 is not supported"});
  files->push_back({"version 4.0", changed(6, 4), "version 4.0 is not supported"});
  files->push_back({"version 255.0", changed(6, '\xff'), "version 255.0 is not supported"});
  files->push_back({"a header beyond the entry", changed(9, '\x7f'), "too early"});
  files->push_back({"a header of no bytes", Archive(Npy("", "")), "it is not a dict"});
  files->push_back({"a header of 4 GB",
                    Archive("\x93NUMPY" + Le(2, 1) + Le(0, 1) + Le(~0U, 4) + "{}"),
                    "4294967295 bytes long; at most 65536"});
  for (const size_t size : {3, 7, 9, 20}) {
    files->push_back({absl::StrCat("an entry cut after ", size, " bytes"),
                      Archive(array.substr(0, size)), "too early"});
  }
}

void AddDicts(std::vector<BadFile>* files) {
  const auto dict = [&](absl::string_view what, absl::string_view text, const char* message) {
    files->push_back({std::string(what), Archive(Npy(text, std::string(8, '\0'))), message});
  };
  dict("no dict", "('<f4', False, (2,))", "it is not a dict");
  dict("an empty dict", "{}", "it lacks one of descr, fortran_order and shape");
  dict("no descr", "{'fortran_order': False, 'shape': (2,)}", "it lacks one of");
  dict("no order", "{'descr': '<f4', 'shape': (2,)}", "it lacks one of");
  dict("no shape", "{'descr': '<f4', 'fortran_order': False}", "it lacks one of");
  dict("a dict without its end", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)",
       "no , between two keys");
  dict("a word without its end", "{'descr", "a quoted word does not end");
  dict("a word in no quotes", "{descr: '<f4'}", "expected a quoted word");
  dict("a word with an escape", "{'\\x64escr': '<f4'}", "a quoted word with an escape");
  dict("no colon", "{'descr' '<f4'}", "no : after 'descr'");
  dict("no comma", "{'descr': '<f4' 'fortran_order': False}", "no , between two keys");
  dict("an unknown key", "{'descr': '<f4', 'x': 1}", "unknown key 'x'");
  dict("descr twice", "{'descr': '<f4', 'descr': '<f4'}", "'descr' is given twice");
  dict("text after the dict", Dict("'<f4'", "False", "(2,)") + " + f()", "text follows the dict");
  dict("a call", "__import__('os').system('true')", "it is not a dict");
  dict("a call in the dict", "{'descr': eval('1')}", "expected a quoted word");
  dict("an order that is a number", Dict("'<f4'", "0", "(2,)"), "neither True nor False");
  dict("an order that is None", Dict("'<f4'", "None", "(2,)"), "neither True nor False");

  const auto descr = [&](absl::string_view text, const char* message) {
    dict(absl::StrCat("descr ", text), Dict(text, "False", "(2,)"), message);
  };
  descr("''", "unsupported dtype ''");
  descr("'f4'", "unsupported dtype 'f4'");
  descr("'<f4x'", "unsupported dtype '<f4x'");
  descr("'<f16'", "unsupported dtype '<f16'");
  descr("'<u2'", "unsupported dtype '<u2'; convert the array");
  descr("'<c8'", "unsupported dtype '<c8'");
  descr("'<U3'", "unsupported dtype '<U3'");
  descr("'|S3'", "unsupported dtype '|S3'");
  descr("'|O'", "unsupported dtype '|O'");
  descr("'|V1'", "unsupported dtype '|V1'");
  descr("'<M8[ns]'", "unsupported dtype '<M8[ns]'");
  descr("'>f4'", "is big-endian; convert the array with .astype('<f4')");
  descr("'>i8'", "is big-endian");
  descr("[('x', '<f4')]", "a structured array");
  descr("3", "expected a quoted word");

  const auto shape = [&](absl::string_view text, const char* message) {
    dict(absl::StrCat("shape ", text), Dict("'<f4'", "False", text), message);
  };
  shape("2", "shape is not a tuple");
  shape("(2)", "shape is not a tuple");
  shape("[2]", "shape is not a tuple");
  shape("(2", "shape: no , between two dimensions");
  shape("(2 1)", "shape: no , between two dimensions");
  shape("(,)", "does not begin with a whole number");
  shape("(-2,)", "'-2,)}' does not begin with a whole number");
  shape("(2.0,)", "no , between two dimensions");
  shape("(True,)", "does not begin with a whole number");
  shape("((2,),)", "does not begin with a whole number");
  shape("(9223372036854775808,)", "below 2^63");
  shape("(99999999999999999999999,)", "below 2^63");
  shape("(9223372036854775807,)", "does not fit the 8 bytes");
  shape("(4611686018427387906,)", "does not fit the 8 bytes");
  shape("(4294967296, 4294967296)", "does not fit the 8 bytes");
  shape("(0, 9223372036854775807, 9)", "does not fit the 8 bytes");
  shape("(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2)", "more than 16 dimensions");
  shape("()", "does not fit the 8 bytes");
  shape("(1,)", "shape [1] of 4-byte values does not fit the 8 bytes after the header");
  shape("(3,)", "does not fit the 8 bytes");
  shape("(0,)", "does not fit the 8 bytes");
}

// Kilobytes that ask for gigabytes.
void AddBombs(std::vector<BadFile>* files) {
  const auto header = [](absl::string_view shape) {
    return Npy(Dict("'<f4'", "False", shape), "");
  };
  // Its sizes are correct, except the shape.
  files->push_back({"a shape of terabytes before megabytes",
                    Archive(header("(1099511627776,)") + std::string(8 << 20, '\0'), true),
                    "shape [1099511627776] of 4-byte values does not fit"});
  // All of it is correct.
  const size_t bytes = 96 << 20;
  files->push_back({"96 MB of zeros in 100 kB",
                    Archive(header("(25165824,)") + std::string(bytes, '\0'), true),
                    "at most 16 times as much is read. Save it with numpy.savez"});
  std::vector<ZipPart> parts;
  for (int i = 0; i < 10; ++i) {
    parts.push_back(
        {absl::StrCat(i, ".npy"), header("(2097152,)") + std::string(8 << 20, '\0'), true});
  }
  files->push_back({"ten arrays of 8 MB of zeros", MakeZip(parts).bytes, "16 times"});
}

}  // namespace

std::vector<BadFile> BadArrays() {
  std::vector<BadFile> files;
  AddBeginnings(&files);
  AddDicts(&files);
  AddBombs(&files);
  const std::string array = FloatArray("(2,)", 2);
  const std::string bools = Npy(Dict("'|b1'", "False", "(2,)"), "\1\2");
  files.push_back({"a bool of 2", Archive(bools), "array 'a': a bool is neither 0 nor 1"});
  files.push_back({"a deflated bool of 2", Archive(bools, true), "neither 0 nor 1"});
  files.push_back({"something that is no array",
                   MakeZip({{"a.npy", array}, {"readme.txt", "text"}}).bytes,
                   "entry 'readme.txt': not the name of an array"});
  files.push_back({"an array without a name", Archive(array, false, ".npy"), "not the name"});
  files.push_back({"a name that is not UTF-8", Archive(array, false, "\xff.npy"), "not the name"});
  files.push_back({"a name with a newline", Archive(array, false, "a\nb.npy"), "'a\\nb.npy'"});
  files.push_back({"nothing that is known", Archive("text", false, "readme.txt"),
                   "without data.pkl (PyTorch) or .npy arrays (NumPy)"});
  files.push_back({"an empty archive", MakeZip({}).bytes, "without data.pkl"});
  return files;
}

}  // namespace vit
