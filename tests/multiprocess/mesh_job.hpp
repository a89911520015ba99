// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "multiprocess/train_job.hpp"
#include "support/temporary_folder.hpp"

#include <fstream>
#include <string>
#include <vector>

namespace trireme::testing {

using Words = std::vector<std::string>;

/// 2000 bytes of text with some order in it.
inline const std::string& text_file() {
  static const TemporaryFolder folder;
  static const std::string path = [] {
    std::string name = folder.path() + "/text";
    std::ofstream out(name, std::ios::binary);
    for (int i = 0; i < 2000; ++i) out << static_cast<char>('a' + (i * i / 7 + i) % 23);
    return name;
  }();
  return path;
}

inline Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// A small GPT. Four steps are an epoch, and its last batch is one sample: leaves and micro-batches without any are among them.
inline Words gpt_job(const Words& more) {
  return joined({"train",
                 "--dataset",
                 "text:" + text_file(),
                 "--layers",
                 "2",
                 "--heads",
                 "2",
                 "--channels",
                 "12",
                 "--context",
                 "16",
                 "--stride",
                 "16",
                 "--batch-size",
                 "37",
                 "--steps",
                 "6",
                 "--epochs",
                 "4",
                 "--seed",
                 "3",
                 "--eval-every",
                 "3steps",
                 "--sample-tokens",
                 "0"},
                more);
}

inline double number(const Result& result, const std::string& key) { return std::stod(value(result_of(result), key)); }

inline std::string hash_of(const Result& result) { return value(result_of(result), "weights_xxh3"); }

}  // namespace trireme::testing
