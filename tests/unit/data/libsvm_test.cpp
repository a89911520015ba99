// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/libsvm.hpp"

#include "support/failures.hpp"
#include "trireme/data/distributed_sampler.hpp"
#include "trireme/data/philox.hpp"
#include "unit/data/temporary_folder.hpp"
#include "unit/data/text_bytes.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

using namespace trireme;
using namespace trireme::literals;
using data::LibsvmFile;
using data::LibsvmOptions;
using data::LibsvmReader;
using data::SparseTable;
using testing::error_of;
using testing::text_bytes;

namespace {

SparseTable libsvm_table(const std::string& text, const LibsvmOptions& options = {}) {
  const auto bytes = text_bytes(text);
  data::MemorySource source(bytes);
  return data::load_libsvm(source, "some.svm", options);
}

void libsvm_refuses(const std::string& text, const std::vector<std::string>& words, const LibsvmOptions& options = {},
                    ErrorCode code = ErrorCode::corrupt) {
  for (const auto& bytes : {text_bytes(text), testing::gzip(text_bytes(text))}) {
    const Error error = error_of([&] {
      data::MemorySource source(bytes);
      data::load_libsvm(source, "some.svm", options);
    });
    CAPTURE(text, error.message);
    CHECK(error.code == code);
    CHECK_THAT(error.message, Catch::Contains("some.svm"));
    for (const std::string& word : words) CHECK_THAT(error.message, Catch::Contains(word));
    CHECK(error.message.find('\n') == std::string::npos);
  }
}

template <class T>
std::vector<T> listed(std::span<const T> values) {
  return {values.begin(), values.end()};
}

/// The same rows, however their memory is cut.
void require_same_row(const data::SparseRows& a, std::size_t i, const data::SparseRows& b, std::size_t j) {
  REQUIRE(a.labels[i] == b.labels[j]);
  REQUIRE(listed(a.row_indices(i)) == listed(b.row_indices(j)));
  REQUIRE(listed(a.row_values(i)) == listed(b.row_values(j)));
}

/// A file of random rows, with comments, empty lines and blanks in places; and what it holds.
struct RandomLibsvm {
  std::string text;
  SparseTable table;

  RandomLibsvm(std::uint64_t seed, std::size_t rows) {
    data::PhiloxStream random(seed);
    const std::string line_end = random.below(2) == 0 ? "\n" : "\r\n";
    const auto gap = [&] { return std::string(1 + random.below(2), random.below(4) == 0 ? '\t' : ' '); };
    for (std::size_t row = 0; row < rows; ++row) {
      if (random.below(8) == 0) text += "  # a comment 1:2" + line_end;
      if (random.below(8) == 0) text += line_end;
      const bool positive = random.below(2) == 0;
      text += std::string(random.below(4) == 0 ? " " : "") + (positive ? "+1" : "-1");
      std::uint32_t index = 0;
      for (std::uint32_t k = random.below(12); k > 0; --k) {
        index += 1 + random.below(9);
        const auto value = static_cast<float>(random.below(1000)) / 8.0f;
        text += gap() + std::to_string(index) + ":" + std::to_string(value);
        table.indices.push_back(index - 1);
        table.values.push_back(value);
      }
      table.features = std::max<std::size_t>(table.features, index);
      table.offsets.push_back(table.indices.size());
      table.labels.push_back(positive ? 1.0f : -1.0f);
      if (random.below(4) == 0) text += gap();
      if (random.below(6) == 0) text += "# said of this row";
      if (row + 1 < rows || random.below(2) == 0) text += line_end;
    }
  }
};

}  // namespace

TEST_CASE("LibSVM: rows stay sparse, indices count from 0") {
  const SparseTable table =
      libsvm_table("+1 1:0.5 7:-2e1\n# nothing here\n\n-1.5 # no feature\n3\t2:1 3:0 4294967295:7");
  CHECK(table.size() == 3);
  CHECK(table.features == 4294967295u);
  CHECK(listed(std::span<const std::uint64_t>(table.offsets)) == std::vector<std::uint64_t>{0, 2, 2, 5});
  CHECK(listed(std::span<const std::uint32_t>(table.indices)) == std::vector<std::uint32_t>{0, 6, 1, 2, 4294967294u});
  CHECK(listed(std::span<const float>(table.values)) == std::vector<float>{0.5f, -20, 1, 0, 7});
  CHECK(listed(std::span<const float>(table.labels)) == std::vector<float>{1, -1.5f, 3});
  const data::SparseRows last = table.view().slice(2, 1);
  CHECK(last.size() == 1);
  CHECK(listed(last.row_indices(0)) == std::vector<std::uint32_t>{1, 2, 4294967294u});
  CHECK(libsvm_table("1 2:3", {.features = 9}).features == 9);
  CHECK(libsvm_table("1\r\n-1 1:1#c\r\n").size() == 2);
  CHECK(libsvm_table("\xef\xbb\xbf"
                     "1 1:1")
            .size() == 1);
}

TEST_CASE("LibSVM: every mistake in a line is refused with file, line and column") {
  libsvm_refuses("1 1:2\nx 1:2\n", {"line 2", "column 1", "label 'x'", "not a number"});
  libsvm_refuses("1,2 1:2\n", {"line 1", "column 1", "label '1,2'", "not a number"});
  libsvm_refuses("1:2 2:3\n", {"line 1", "label '1:2'", "not a number"});
  libsvm_refuses("nan 1:2\n", {"line 1", "'nan'", "not a number"});
  libsvm_refuses("1e40 1:2\n", {"line 1", "label", "beyond the largest f32"});
  libsvm_refuses("1 0:2\n", {"line 1", "column 3", "index 0", "begin at 1"});
  libsvm_refuses("1 2:2 2:3\n", {"line 1", "column 7", "index 2 is not above", ", 2"});
  libsvm_refuses("1 5:2 2:3\n", {"line 1", "column 7", "index 2 is not above", ", 5"});
  libsvm_refuses("1 4294967296:1\n", {"column 3", "index 4294967296", "beyond the largest allowed"});
  libsvm_refuses("1 18446744073709551617:1\n", {"column 3", "is not index:value"});
  libsvm_refuses("1 999999999999999999:1\n", {"column 3", "beyond the largest allowed"});
  libsvm_refuses("1 1:1 4:1\n", {"column 7", "index 4", "allowed, 3"}, {.features = 3});
  libsvm_refuses("1 qid:3 1:2\n", {"column 3", "'qid:3'", "index"});
  libsvm_refuses("1 -1:2\n", {"column 3", "'-1:2'", "index"});
  libsvm_refuses("1 :2\n", {"column 3", "index"});
  libsvm_refuses("1 7\n", {"column 3", "'7' is not index:value"});
  libsvm_refuses("1 7 :2\n", {"column 3", "'7' is not index:value"});
  libsvm_refuses("1 7:\n", {"column 5", "a value is missing"});
  libsvm_refuses("1 7: 2\n", {"column 5", "a value is missing"});
  libsvm_refuses("1 7:#2\n", {"column 5", "a value is missing"});
  libsvm_refuses("1 7:a\n", {"column 5", "value 'a'", "not a number"});
  libsvm_refuses("1 7:1x 8:1\n", {"column 5", "value '1x'", "not a number"});
  libsvm_refuses("1 7:inf\n", {"column 5", "value 'inf'", "not a number"});
  libsvm_refuses("1 7:1e39\n", {"column 5", "value '1e39'", "beyond the largest f32"});
  libsvm_refuses("1 7:1:2\n", {"column 5", "'1:2'", "not a number"});
  libsvm_refuses(std::string("1 7:\0\n", 6), {"column 5", "'\\x00'"});
  libsvm_refuses("1 7:1\r2:3\n", {"column 5", "'1\\x0d2:3'"});
  libsvm_refuses("1 1:1\n1 2:" + std::string(2000, '3'), {"line 2", "limit of 1000 bytes"}, {.longest_record = 1000_B});
}

TEST_CASE("LibSVM: files without a sample, widths that cannot be and tables above their limit are refused") {
  for (const char* text : {"", "\n\n", "# only words\n", "   \t"}) libsvm_refuses(text, {"no line holds a sample"});
  libsvm_refuses("1 1:1\n", {"at most 2^32 - 1"}, {.features = std::size_t{1} << 32}, ErrorCode::invalid_argument);
  const auto bytes = text_bytes("1 1:1\n1 1:1\n");
  data::MemorySource source(bytes);
  const Error error = error_of([&] { data::load_libsvm(source, "some.svm", {}, 39_B); });
  CHECK(error.code == ErrorCode::invalid_argument);
  CHECK_THAT(error.message, Catch::Contains("some.svm") && Catch::Contains("limit of 39 bytes"));
  data::MemorySource again(bytes);
  CHECK(data::load_libsvm(again, "some.svm", {}, 40_B).size() == 2);
  CHECK(testing::code_of([] { data::load_libsvm("/nonexistent/some.svm"); }) == ErrorCode::invalid_argument);
}

TEST_CASE("LibSVM: blocks of bounded size, the whole file and rows by number agree on random files, plain and gzip") {
  const testing::TemporaryFolder folder;
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const std::size_t rows = 1 + seed * 37;
    const RandomLibsvm file(seed, rows);
    const data::SparseRows expected = file.table.view();
    CAPTURE(seed, file.text);
    for (const bool packed : {false, true}) {
      const auto bytes = packed ? testing::gzip(text_bytes(file.text)) : text_bytes(file.text);
      const auto path = folder.write("file" + std::to_string(seed), bytes);
      const LibsvmOptions options{.read_at_a_time = Bytes{seed % 3 == 0 ? 1u : 100u + seed}};
      const SparseTable loaded = data::load_libsvm(path, options);
      REQUIRE(loaded.offsets == file.table.offsets);
      REQUIRE(loaded.indices == file.table.indices);
      REQUIRE(loaded.values == file.table.values);
      REQUIRE(loaded.labels == file.table.labels);
      REQUIRE(loaded.features == file.table.features);

      const LibsvmFile indexed(path, options);
      REQUIRE(indexed.size() == rows);
      REQUIRE(indexed.features() == file.table.features);
      for (const Bytes most : {0_B, 300_B, 1_MiB}) {
        LibsvmReader pass = indexed.pass();
        SparseTable block;
        std::size_t row = 0;
        while (pass.next(block, most)) {
          REQUIRE((block.size() == 1 || 12 * block.size() + 8 * block.indices.size() <= most.value));
          REQUIRE(block.features == file.table.features);
          for (std::size_t i = 0; i < block.size(); ++i) require_same_row(block.view(), i, expected, row++);
        }
        REQUIRE(block.size() == 0);
        REQUIRE(row == rows);
      }

      SparseTable batch;
      REQUIRE(indexed.random_access() == !packed);
      if (packed) {
        CHECK(testing::code_of([&] { indexed.read(0, 1, batch); }) == ErrorCode::unsupported);
        continue;
      }
      data::DistributedSampler sampler({.count = indexed.size(), .global_batch = 16, .seed = seed});
      for (std::uint64_t step = 0; step < sampler.steps_per_epoch(); ++step) {
        const auto samples = sampler.batch(0, step);
        indexed.read(samples, batch);
        REQUIRE(batch.size() == samples.size());
        for (std::size_t i = 0; i < samples.size(); ++i) require_same_row(batch.view(), i, expected, samples[i]);
      }
      indexed.read(rows / 3, rows - rows / 3, batch);
      REQUIRE(batch.features == file.table.features);
      for (std::size_t i = 0; i < batch.size(); ++i) require_same_row(batch.view(), i, expected, rows / 3 + i);
    }
  }
}

TEST_CASE("LibSVM: rows that are not there and files that changed are refused") {
  const testing::TemporaryFolder folder;
  const auto path = folder.write("some.svm", text_bytes("1 1:1\n2 2:2\n"));
  const LibsvmFile file(path);
  SparseTable out;
  const std::vector<std::uint32_t> samples = {0, 2};
  for (const Error& error : {error_of([&] { file.read(samples, out); }), error_of([&] { file.read(1, 2, out); })}) {
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK_THAT(error.message, Catch::Contains(path.string()) && Catch::Contains("there are 2"));
  }
  folder.write("some.svm", text_bytes("1 1:1\n2 2:2 # longer\n"));
  CHECK(testing::code_of([&] { file.read(0, 1, out); }) == ErrorCode::corrupt);
  CHECK(testing::code_of([&] { LibsvmFile(folder.write("none.svm", text_bytes("# none\n"))); }) == ErrorCode::corrupt);
}
