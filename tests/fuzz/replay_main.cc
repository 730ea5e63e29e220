// Runs a fuzz target without a fuzzer: on every file of the folder given, then on a fixed number of
// mutations of them, the same at every run.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "tests/fuzz/fuzzing.h"

namespace {

namespace fs = std::filesystem;

constexpr int kMutations = 50'000;
constexpr int64_t kMaxFileBytes = 1 << 20;

void Run(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

// Numbers whose sequence the standard fixes; its distributions it does not.
class Dice {
 public:
  size_t Below(size_t limit) { return limit == 0 ? 0 : engine_() % limit; }

 private:
  std::mt19937_64 engine_{20240607};
};

// One to four changes at places of `bytes`.
std::string Mutated(std::string bytes, const std::vector<std::string>& corpus, Dice* dice) {
  constexpr uint64_t kEdges[] = {0,
                                 1,
                                 0x7f,
                                 0xff,
                                 0x7fff,
                                 0xffff,
                                 0x7fffffff,
                                 0xffffffff,
                                 uint64_t{1} << 62,
                                 ~uint64_t{0} >> 1,
                                 uint64_t{1} << 63,
                                 ~uint64_t{0}};
  for (size_t count = 1 + dice->Below(4); count > 0; --count) {
    const size_t at = dice->Below(bytes.size() + 1);
    switch (dice->Below(6)) {
      case 0:  // another byte
        if (at < bytes.size()) bytes[at] = static_cast<char>(dice->Below(256));
        break;
      case 1:  // another bit
        if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ 1 << dice->Below(8));
        break;
      case 2: {  // a number at the edge of what fits
        const uint64_t edge = kEdges[dice->Below(std::size(kEdges))];
        const size_t size = size_t{1} << dice->Below(4);
        for (size_t i = 0; i < size && at + i < bytes.size(); ++i) {
          bytes[at + i] = static_cast<char>(edge >> 8 * i);
        }
        break;
      }
      case 3:  // cut
        bytes.resize(at);
        break;
      case 4:  // less
        bytes.erase(at, 1 + dice->Below(16));
        break;
      default: {  // a piece of another file
        const std::string& other = corpus[dice->Below(corpus.size())];
        bytes.insert(at, other.substr(dice->Below(other.size() + 1), dice->Below(64)));
      }
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: " << argv[0] << " CORPUS_FOLDER\n";
    return EXIT_FAILURE;
  }
  std::vector<fs::path> paths;
  for (const fs::directory_entry& file : fs::directory_iterator(argv[1])) {
    paths.push_back(file.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> corpus;
  for (const fs::path& path : paths) {
    auto bytes = vit::ReadFile(path, kMaxFileBytes);
    if (!bytes.ok()) {
      std::cerr << bytes.status() << "\n";
      return EXIT_FAILURE;
    }
    corpus.push_back(*std::move(bytes));
    Run(corpus.back());
  }
  if (corpus.empty()) {
    std::cerr << argv[1] << " is empty\n";
    return EXIT_FAILURE;
  }
  Dice dice;
  for (int i = 0; i < kMutations; ++i) {
    Run(Mutated(corpus[dice.Below(corpus.size())], corpus, &dice));
  }
  std::cout << corpus.size() << " files and " << kMutations << " mutations\n";
  return EXIT_SUCCESS;
}
