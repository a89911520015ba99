// SPDX-License-Identifier: Apache-2.0
// CsvReader against hostile bytes, plain or gzip: the first byte chooses the options, the rest is the file. Rows of as
// many finite numbers as there are features, the same in blocks of any size, or one trireme::Exception.
#include "fuzz_target.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/csv.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace {

using namespace trireme;

/// The rows of the whole input, read in blocks of `most` bytes; the message of the error that ended it.
std::string read_all(std::span<const std::uint8_t> bytes, const data::CsvOptions& options, Bytes most,
                     data::DenseTable& all) {
  try {
    data::MemorySource source(bytes);
    data::CsvReader reader(source, "fuzz input", options);
    const auto& columns = reader.columns();
    promise(columns.columns >= 1 && columns.features() >= 1, "there is a feature");
    promise(columns.names.size() == (options.header ? columns.columns : 0), "a header names every column");
    all.features = columns.features();
    data::DenseTable block;
    while (reader.next(block, most)) {
      promise(block.rows > 0 && block.values.size() == block.rows * all.features, "rows are whole");
      promise(block.labels.size() == (columns.label ? block.rows : 0), "every row has its label");
      promise(block.rows == 1 || block.rows * columns.columns * sizeof(float) <= most.value, "a block keeps its bound");
      all.rows += block.rows;
      all.values.insert(all.values.end(), block.values.begin(), block.values.end());
      all.labels.insert(all.labels.end(), block.labels.begin(), block.labels.end());
    }
    promise(block.rows == 0, "the end is an empty block");
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
  data::CsvOptions options;
  options.separator = ",;\t "[choice & 3];
  options.header = (choice & 4) != 0;
  if ((choice & 8) != 0) options.label_index = choice >> 6;
  options.longest_record = Bytes{500};
  options.read_at_a_time = Bytes{(choice & 16) != 0 ? 16u : 4096u};
  const std::span<const std::uint8_t> file(data + (size > 0 ? 1 : 0), size > 0 ? size - 1 : 0);
  data::DenseTable single;
  data::DenseTable blocks;
  const std::string first = read_all(file, options, Bytes{0}, single);
  const std::string second = read_all(file, options, Bytes{100}, blocks);
  promise(first == second, "blocks of any size end in the same error");
  promise(std::all_of(single.values.begin(), single.values.end(), [](float x) { return std::isfinite(x); }),
          "numbers are finite");
  if (first.empty()) {
    promise(single.rows == blocks.rows && single.values == blocks.values && single.labels == blocks.labels,
            "blocks of any size hold the same rows");
  }
  return 0;
}
