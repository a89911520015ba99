// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target without libFuzzer: every file of the corpus folder, random inputs, and mutations of the corpus,
// all from fixed seeds. Usage: fuzz_replay_NAME CORPUS_FOLDER
#include "fuzz_target.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

namespace {

using Input = std::vector<std::uint8_t>;

std::vector<Input> read_corpus(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Input> corpus;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return corpus;
}

/// Exact size, on the heap: the address sanitizer sees a read of one byte too many.
void run(const Input& input) {
  Input exact(input.begin(), input.end());
  exact.shrink_to_fit();
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

class Source {
 public:
  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : generator_() % limit; }
  std::uint8_t byte() { return static_cast<std::uint8_t>(generator_() & 0xff); }

  Input random_input() {
    Input input(below(200));
    bool small = below(2) == 0;  // small values make lengths that fit
    for (auto& value : input) value = small ? static_cast<std::uint8_t>(byte() % 12) : byte();
    return input;
  }

  Input mutated(Input input) {
    for (std::size_t changes = 1 + below(4); changes > 0; --changes) {
      std::size_t at = below(input.size() + 1);
      auto place = input.begin() + static_cast<std::ptrdiff_t>(at);
      switch (below(5)) {
        case 0:
          if (at < input.size()) *place = byte();
          break;
        case 1:
          if (at < input.size()) *place = static_cast<std::uint8_t>(*place ^ (1u << below(8)));
          break;
        case 2: input.insert(place, byte()); break;
        case 3:
          if (at < input.size()) input.erase(place);
          break;
        default: input.erase(place, input.end()); break;
      }
    }
    return input;
  }

 private:
  std::mt19937 generator_{20240229};
};

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", arguments[0]);
    return 2;
  }
  std::vector<Input> corpus = read_corpus(arguments[1]);
  if (corpus.empty()) {
    std::fprintf(stderr, "%s holds no inputs\n", arguments[1]);
    return 1;
  }
  run({});
  for (const Input& input : corpus) run(input);
  Source source;
  for (int i = 0; i < 5000; ++i) run(source.random_input());
  for (int i = 0; i < 5000; ++i) run(source.mutated(corpus[source.below(corpus.size())]));
  return 0;
}
