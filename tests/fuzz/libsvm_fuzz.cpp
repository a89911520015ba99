// SPDX-License-Identifier: Apache-2.0
// LibsvmReader against hostile bytes, plain or gzip: the first byte chooses the options, the rest is the file. Sparse
// rows that are what SparseRows says, the same in blocks of any size, or one trireme::Exception.
#include "fuzz_target.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/libsvm.hpp"

#include <cmath>
#include <string>

namespace {

using namespace trireme;

void check_rows(const data::SparseTable& table) {
  promise(table.offsets.size() == table.labels.size() + 1 && table.offsets.front() == 0, "an offset for every row");
  promise(table.offsets.back() == table.values.size() && table.values.size() == table.indices.size(),
          "a value for every index");
  for (std::size_t row = 0; row < table.size(); ++row) {
    promise(table.offsets[row] <= table.offsets[row + 1], "offsets do not descend");
    promise(std::isfinite(table.labels[row]), "labels are finite");
    for (std::uint64_t k = table.offsets[row]; k < table.offsets[row + 1]; ++k) {
      promise(table.indices[k] < table.features, "indices are below the number of features");
      promise(k == table.offsets[row] || table.indices[k - 1] < table.indices[k], "indices ascend within a row");
      promise(std::isfinite(table.values[k]), "values are finite");
    }
  }
}

/// The rows of the whole input, read in blocks of `most` bytes; the message of the error that ended it.
std::string read_all(std::span<const std::uint8_t> bytes, const data::LibsvmOptions& options, Bytes most,
                     data::SparseTable& all) {
  try {
    data::MemorySource source(bytes);
    data::LibsvmReader reader(source, "fuzz input", options);
    data::SparseTable block;
    while (reader.next(block, most)) {
      check_rows(block);
      promise(block.size() == 1 || 12 * block.size() + 8 * block.values.size() <= most.value,
              "a block keeps its bound");
      for (std::size_t row = 0; row < block.size(); ++row) {
        all.offsets.push_back(all.indices.size() + block.offsets[row + 1]);
      }
      all.indices.insert(all.indices.end(), block.indices.begin(), block.indices.end());
      all.values.insert(all.values.end(), block.values.begin(), block.values.end());
      all.labels.insert(all.labels.end(), block.labels.begin(), block.labels.end());
    }
    promise(block.size() == 0, "the end is an empty block");
    all.features = reader.features();
    check_rows(all);
  } catch (const Exception& exception) {
    const std::string& message = exception.error().message;
    promise(message.find("fuzz input") != std::string::npos, "an error names its file");
    promise(message.find('\n') == std::string::npos, "an error is one line");
    return message;
  }
  return {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const unsigned choice = size > 0 ? data[0] : 0;
  data::LibsvmOptions options;
  options.features = (choice & 1) != 0 ? 100 : 0;
  options.longest_record = Bytes{500};
  options.read_at_a_time = Bytes{(choice & 2) != 0 ? 16u : 4096u};
  const std::span<const std::uint8_t> file(data + (size > 0 ? 1 : 0), size > 0 ? size - 1 : 0);
  data::SparseTable single;
  data::SparseTable blocks;
  const std::string first = read_all(file, options, Bytes{0}, single);
  const std::string second = read_all(file, options, Bytes{100}, blocks);
  promise(first == second, "blocks of any size end in the same error");
  if (first.empty()) {
    promise(single.offsets == blocks.offsets && single.indices == blocks.indices && single.values == blocks.values &&
                single.labels == blocks.labels && single.features == blocks.features,
            "blocks of any size hold the same rows");
  }
  return 0;
}
