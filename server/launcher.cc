// The program that users start as `vitd`: settles what must be settled before LibTorch is loaded,
// then becomes the daemon, libexec/vitd/vitd-daemon. It links nothing but the C++ runtime.
//
// - It makes threads that wait for their team sleep rather than spin
//   (core/base/compute/compute_budget.h says why); the OpenMP runtime reads this from its
//   environment when it is loaded.
// - It finds LibTorch: where LIBTORCH says, beside the program, or in the torch that python3
//   imports. It must be of the version that the daemon was built for. `vitd --library-path` prints
//   the folders of its libraries, for programs beside the daemon; nothing if they find them by
//   themselves.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace {

namespace fs = std::filesystem;

// VIT_TORCH_VERSION: "2.13.0", without the build's label. VIT_TORCH_CUDA: 1 if it was built for
// CUDA. VIT_BUILT_WITH: the folder of LibTorch that it was built with; empty in a bundle.
constexpr char kTorchVersion[] = VIT_TORCH_VERSION;
constexpr bool kNeedsCuda = VIT_TORCH_CUDA;
constexpr char kBuiltWith[] = VIT_BUILT_WITH;
constexpr char kTorchLibrary[] = "lib/libtorch_cpu.so";

[[noreturn]] void Die(const std::string& message) {
  fprintf(stderr, "vitd: %s\n", message.c_str());
  exit(1);
}

std::string Environment(const char* name) {
  const char* const value = getenv(name);
  return value == nullptr ? "" : value;
}

bool Exists(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Returns the version of a LibTorch folder, such as "2.13.0+cu130": a wheel has version.py, an
// archive build-version. Empty if neither gives it.
std::string VersionOf(const fs::path& torch) {
  const std::string text = ReadAll(torch / "version.py");
  const std::string key = "__version__ = '";
  const size_t begin = text.find(key);
  if (begin != std::string::npos) {
    return text.substr(begin + key.size(),
                       text.find('\'', begin + key.size()) - begin - key.size());
  }
  const std::string line = ReadAll(torch / "build-version");
  return line.substr(0, line.find('\n'));
}

// Returns why `torch` cannot be used; empty if it can.
std::string Mismatch(const fs::path& torch) {
  if (!Exists(torch / kTorchLibrary)) return "holds no " + std::string(kTorchLibrary);
  const std::string version = VersionOf(torch);
  if (version.substr(0, version.find('+')) != kTorchVersion) {
    return "is LibTorch " + (version.empty() ? "of an unknown version" : version);
  }
  if (kNeedsCuda && !Exists(torch / "lib/libtorch_cuda.so")) return "is a build without CUDA";
  return "";
}

// Returns the folder of the torch that python3 would import; empty if there is none.
std::string PythonTorch() {
  FILE* const pipe = popen(  // NOLINT(bugprone-command-processor): nothing in it is input
      "python3 -c 'import importlib.util as u; s = u.find_spec(\"torch\"); "
      "print(s.submodule_search_locations[0] if s else \"\")' 2>/dev/null",
      "r");
  if (pipe == nullptr) return "";
  std::string output;
  std::array<char, 4096> buffer;
  while (fgets(buffer.data(), buffer.size(), pipe) != nullptr) output += buffer.data();
  pclose(pipe);
  return output.substr(0, output.find('\n'));
}

// Returns the LibTorch to use; empty if the daemon finds the one beside it by itself.
fs::path FindTorch(const fs::path& prefix) {
  const std::string wanted =
      std::string("LibTorch ") + kTorchVersion + (kNeedsCuda ? " with CUDA" : "");
  const std::string way_out =
      "; set LIBTORCH to the folder of one (it holds lib/ and include/), or "
      "pip install torch==" +
      std::string(kTorchVersion) + " for the python3 on PATH";
  if (const std::string named = Environment("LIBTORCH"); !named.empty()) {
    const std::string why = Mismatch(named);
    if (!why.empty()) {
      Die("LIBTORCH=" + named + " " + why + ", and this vitd needs " + wanted + way_out);
    }
    return named;
  }
  if (Exists(prefix / "lib/vitd/libtorch_cpu.so")) return {};
  if (*kBuiltWith != '\0' && Exists(fs::path(kBuiltWith) / kTorchLibrary)) return {};
  const std::string found = PythonTorch();
  if (found.empty()) Die("found no LibTorch; this vitd needs " + wanted + way_out);
  const std::string why = Mismatch(found);
  if (!why.empty()) Die(found + " " + why + ", and this vitd needs " + wanted + way_out);
  return found;
}

// Returns what LD_LIBRARY_PATH needs for `torch`.
std::string LibraryPaths(const fs::path& torch) {
  const fs::path root = fs::absolute(torch).lexically_normal();
  std::string paths = root / "lib";
  // The wheels of CUDA's own libraries lie beside torch's.
  const fs::path cuda = root.parent_path() / "nvidia/cu13/lib";
  if (kNeedsCuda && Exists(cuda)) paths += ":" + cuda.string();
  return paths;
}

}  // namespace

int main(int argc, char** argv) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) Die("cannot find its own location: /proc/self/exe: " + error.message());
  const fs::path prefix = self.parent_path().parent_path();
  const fs::path torch = FindTorch(prefix);
  if (argc == 2 && strcmp(argv[1], "--library-path") == 0) {
    if (!torch.empty()) puts(LibraryPaths(torch).c_str());
    return 0;
  }
  if (!torch.empty()) {
    std::string paths = LibraryPaths(torch);
    if (const std::string old = Environment("LD_LIBRARY_PATH"); !old.empty()) paths += ":" + old;
    setenv("LD_LIBRARY_PATH", paths.c_str(), /*overwrite=*/1);
  }
  if (getenv("GOMP_SPINCOUNT") == nullptr) setenv("OMP_WAIT_POLICY", "passive", /*overwrite=*/0);
  const fs::path daemon = prefix / "libexec/vitd/vitd-daemon";
  execv(daemon.c_str(), argv);  // NOLINT(*GenericTaint): these are the daemon's own arguments
  Die(daemon.string() + ": " + strerror(errno) + "; reinstall vitd, bin/ and libexec/ together");
}
