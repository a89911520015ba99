// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/csv.hpp"

#include "support/failures.hpp"
#include "trireme/data/distributed_sampler.hpp"
#include "trireme/data/philox.hpp"
#include "unit/data/temporary_folder.hpp"
#include "unit/data/text_bytes.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <vector>

using namespace trireme;
using namespace trireme::literals;
using data::CsvFile;
using data::CsvOptions;
using data::CsvReader;
using data::DenseTable;
using testing::error_of;
using testing::text_bytes;

namespace {

DenseTable csv_table(const std::string& text, const CsvOptions& options = {}) {
  const auto bytes = text_bytes(text);
  data::MemorySource source(bytes);
  return data::load_csv(source, "some.csv", options);
}

std::vector<float> plain(const data::AlignedVector<float>& values) { return {values.begin(), values.end()}; }

void csv_refuses(const std::string& text, const std::vector<std::string>& words, const CsvOptions& options = {},
                 ErrorCode code = ErrorCode::corrupt) {
  for (const auto& bytes : {text_bytes(text), testing::gzip(text_bytes(text))}) {
    const Error error = error_of([&] {
      data::MemorySource source(bytes);
      data::load_csv(source, "some.csv", options);
    });
    CAPTURE(text, error.message);
    CHECK(error.code == code);
    CHECK_THAT(error.message, Catch::Contains("some.csv"));
    for (const std::string& word : words) CHECK_THAT(error.message, Catch::Contains(word));
    CHECK(error.message.find('\n') == std::string::npos);
  }
}

/// A file of random numbers, some quoted, some with blanks, with empty lines between; and what it holds.
struct RandomCsv {
  std::string text;
  std::vector<float> features;
  std::vector<float> labels;
  static constexpr std::size_t columns = 5;  ///< the third is the label

  RandomCsv(std::uint64_t seed, std::size_t rows) {
    data::PhiloxStream random(seed);
    const std::string line_end = random.below(2) == 0 ? "\n" : "\r\n";
    text = (random.below(2) == 0 ? "\xef\xbb\xbf" : "") + std::string("a,\"b \"\"x\"\"\",label,\"c,\nd\",e") + line_end;
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t column = 0; column < columns; ++column) {
        const float value = static_cast<float>(random.below(2000001)) / 1024.0f - 900.0f;
        std::array<char, 32> digits{};
        const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
        REQUIRE(error == std::errc{});
        std::string field(digits.data(), end);
        if (random.below(8) == 0) field = " " + field + "\t";
        if (random.below(8) == 0) field = "\"" + field + "\"";
        text += field + (column + 1 < columns ? "," : "");
        (column == 2 ? labels : features).push_back(value);
      }
      if (row + 1 < rows || random.below(2) == 0) text += line_end;
      if (row + 1 < rows && random.below(10) == 0) text += line_end;
    }
  }
};

}  // namespace

TEST_CASE("CSV: features are the columns but the label's, in their order") {
  const DenseTable table = csv_table("x,y,z\n1,2,3\n-4.5,5e1,.25\n", {.label_name = "y"});
  CHECK(table.features == 2);
  CHECK(table.size() == 2);
  CHECK(plain(table.values) == std::vector<float>{1, 3, -4.5f, 0.25f});
  CHECK(plain(table.labels) == std::vector<float>{2, 50});
  CHECK(reinterpret_cast<std::uintptr_t>(table.values.data()) % 64 == 0);
  const auto view = table.view().slice(1, 1);
  CHECK(view.row(0)[1] == 0.25f);
  CHECK(view.labels[0] == 50);
  CHECK(plain(csv_table("1;2\n3;4", {.separator = ';', .header = false, .label_index = 0}).labels) ==
        std::vector<float>{1, 3});
  CHECK(plain(csv_table("1\t2\n3\t4", {.separator = '\t', .header = false}).values) == std::vector<float>{1, 2, 3, 4});
  CHECK(csv_table("1\n2\n", {.header = false}).labels.empty());
}

TEST_CASE(
    "CSV: quotes, either line end, a missing last one, a byte order mark and empty lines are taken as they are meant") {
  const std::vector<float> expected = {1, 2, 3, 4};
  for (const char* text : {"a,b\n1,2\n3,4\n", "a,b\n1,2\n3,4", "a,b\r\n1,2\r\n3,4\r\n", "a,b\r\n1,2\r\n3,4\r",
                           "\xef\xbb\xbf"
                           "a,b\n1,2\n3,4",
                           "\n\na,b\n\n1,2\n\r\n3,4\n\n", "\"a\",\"b\"\n\"1\",\"2\"\n3,\"4\"",
                           "\"a\nb\",\"c\"\"d\"\n1 , 2\n \"3\" ,\" 4\"\n", "a,b\n+1,2.0\n3e0,.4e1"}) {
    CAPTURE(text);
    CHECK(plain(csv_table(text).values) == expected);
  }
  const auto bytes = text_bytes("\"a\r\nb\",\"c\"\"d,\", e \n1,2,3");
  data::MemorySource source(bytes);
  const CsvReader reader(source, "some.csv");
  CHECK(reader.columns().names == std::vector<std::string>{"a\r\nb", "c\"d,", "e"});
}

TEST_CASE("CSV: missing values and what is no number are refused with file, line and column") {
  csv_refuses("a,b\n1,2\n3,\n", {"line 3", "column 2", "'b'", "missing"});
  csv_refuses("a,b\n,2\n", {"line 2", "column 1", "missing"});
  csv_refuses("a,b\n1,\"\"\n", {"line 2", "column 2", "missing"});
  csv_refuses("a,b\n1,  \n", {"line 2", "column 2", "missing"});
  csv_refuses("a\n1\n\n2\n", {"line 3", "column 1", "missing"});
  csv_refuses("a,b\n1,x2\n", {"line 2", "column 2", "'x2'", "not a number"});
  csv_refuses("a,b\n1,2x\n", {"line 2", "column 2", "'2x'", "not a number"});
  csv_refuses("a,b\n1,2 3\n", {"'2 3'", "not a number"});
  csv_refuses("a,b\n1,nan\n", {"line 2", "'nan'", "not a number"});
  csv_refuses("a,b\n1,-inf\n", {"line 2", "'-inf'", "not a number"});
  csv_refuses("a,b\n1,1e39\n", {"line 2", "'1e39'", "beyond the largest f32"});
  csv_refuses("a,b\n\"1\",\"1\n\"\n", {"line 2", "'1\\x0a'", "not a number"});
  csv_refuses("\"a\n\n\",b\n1,2\n3,z\n", {"line 5", "column 2", "'z'"});
  csv_refuses("a,b\n\"\n\n 1\",2\n", {"line 2", "column 1", "not a number"});
  csv_refuses("age,b\n1,2\n", {"line 1", "column 1", "'age'", "header"}, {.header = false});
  csv_refuses(std::string("a,b\n1,\0\n", 8), {"line 2", "'\\x00'", "not a number"});
  csv_refuses("a,b\n1," + std::string(1000, 'q'), {"line 2", "not a number"});
  csv_refuses("a,b\n1\r2\n", {"line 2", "not a number"});
}

TEST_CASE("CSV: other numbers of columns, misplaced quotes and endless records are refused with their line") {
  csv_refuses("a,b\n1,2,3\n", {"line 2", "3 columns", "has 2"});
  csv_refuses("a,b\n1,2\n1\n", {"line 3", "1 columns", "has 2"});
  csv_refuses("a,b\n1,2\"\n1\"\n", {"line 2", "column 2", "quote inside"});
  csv_refuses("a,b\n1,\"2\"3\n", {"line 2", "column 2", "follows the closing quote"});
  csv_refuses("a,b\n1,\"2\n3,4\n", {"line 2", "never closed"});
  csv_refuses("a,\"b\n1,2\n", {"line 1", "never closed"});
  csv_refuses("a,b\n1,2\n" + std::string(2000, '3') + ",4\n", {"line 3", "limit of 1000 bytes"},
              {.longest_record = 1000_B});
  csv_refuses("a,b\n1,\"" + std::string(2000, '\n'), {"line 2", "limit of 1000 bytes", "quote"},
              {.longest_record = 1000_B});
  csv_refuses("", {"without a line"});
  csv_refuses("\n\r\n", {"without a line"});
  csv_refuses("a,b\n", {"without a row"});
}

TEST_CASE("CSV: options that do not fit the file or each other are refused") {
  const auto invalid = ErrorCode::invalid_argument;
  csv_refuses("a,b\n1,2\n", {"no column is named 'c'"}, {.label_name = "c"}, invalid);
  csv_refuses("a,a\n1,2\n", {"two columns are named 'a'"}, {.label_name = "a"}, invalid);
  csv_refuses("a,b\n1,2\n", {"no column 2"}, {.label_index = 2}, invalid);
  csv_refuses("a\n1\n", {"no column but the label"}, {.label_name = "a"}, invalid);
  csv_refuses("a,b\n1,2\n", {"by name and by index"}, {.label_name = "a", .label_index = 0}, invalid);
  csv_refuses("1,2\n", {"needs a header"}, {.header = false, .label_name = "a"}, invalid);
  for (char separator : {'"', '\n', '\r', '.', '-', 'e', '7', '\0'}) {
    csv_refuses("a,b\n1,2\n", {"separator"}, {.separator = separator}, invalid);
  }
  const auto bytes = text_bytes("a,b\n1,2\n3,4\n");
  data::MemorySource source(bytes);
  const Error error = error_of([&] { data::load_csv(source, "some.csv", {}, 15_B); });
  CHECK(error.code == invalid);
  CHECK_THAT(error.message, Catch::Contains("some.csv") && Catch::Contains("limit of 15 bytes"));
  CHECK(testing::code_of([] { data::load_csv("/nonexistent/some.csv"); }) == invalid);
}

TEST_CASE("CSV: blocks of bounded size, the whole file and rows by number agree on random files, plain and gzip") {
  const testing::TemporaryFolder folder;
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const std::size_t rows = 1 + seed * 37;
    const RandomCsv file(seed, rows);
    CAPTURE(seed, file.text);
    for (const bool packed : {false, true}) {
      const auto bytes = packed ? testing::gzip(text_bytes(file.text)) : text_bytes(file.text);
      const auto path = folder.write("file" + std::to_string(seed), bytes);
      const CsvOptions options{.label_name = "label", .read_at_a_time = Bytes{seed % 3 == 0 ? 1u : 100u + seed}};
      const DenseTable loaded = data::load_csv(path, options);
      REQUIRE(plain(loaded.values) == file.features);
      REQUIRE(plain(loaded.labels) == file.labels);

      const CsvFile indexed(path, options);
      REQUIRE(indexed.size() == rows);
      REQUIRE(indexed.columns().features() == 4);
      for (const Bytes most : {0_B, 200_B, 1_MiB}) {
        CsvReader pass = indexed.pass();
        DenseTable block;
        std::vector<float> streamed;
        while (pass.next(block, most)) {
          REQUIRE((block.size() == 1 || block.size() * RandomCsv::columns * sizeof(float) <= most.value));
          streamed.insert(streamed.end(), block.values.begin(), block.values.end());
        }
        REQUIRE(block.size() == 0);
        REQUIRE(streamed == file.features);
      }

      DenseTable batch;
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
        for (std::size_t i = 0; i < samples.size(); ++i) {
          REQUIRE(batch.labels[i] == file.labels[samples[i]]);
          const auto row = batch.view().row(i);
          REQUIRE(std::equal(row.begin(), row.end(), file.features.begin() + 4 * samples[i]));
        }
      }
      indexed.read(rows / 3, rows - rows / 3, batch);
      REQUIRE(std::equal(batch.labels.begin(), batch.labels.end(),
                         file.labels.begin() + static_cast<std::ptrdiff_t>(rows / 3), file.labels.end()));
    }
  }
}

TEST_CASE("CSV: rows that are not there and files that changed are refused") {
  const testing::TemporaryFolder folder;
  const auto path = folder.write("some.csv", text_bytes("a,b\n1,2\n3,4\n"));
  const CsvFile file(path);
  DenseTable out;
  file.read(0, 2, out);
  CHECK(out.size() == 2);
  file.read(2, 0, out);
  CHECK(out.size() == 0);
  const std::vector<std::uint32_t> samples = {0, 2};
  for (const Error& error : {error_of([&] { file.read(samples, out); }), error_of([&] { file.read(1, 2, out); }),
                             error_of([&] { file.read(3, 0, out); })}) {
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK_THAT(error.message, Catch::Contains(path.string()) && Catch::Contains("there are 2"));
  }
  folder.write("some.csv", text_bytes("a,b\n1,2\n"));
  const Error error = error_of([&] { file.read(0, 1, out); });
  CHECK(error.code == ErrorCode::corrupt);
  CHECK_THAT(error.message, Catch::Contains(path.string()) && Catch::Contains("changed"));
  CHECK(testing::code_of([&] { CsvFile(folder.write("only.csv", text_bytes("a,b\n"))); }) == ErrorCode::corrupt);
}

TEST_CASE("CSV: damage in a gzip file is one clear error") {
  auto bytes = testing::gzip(text_bytes(RandomCsv(3, 50).text));
  bytes.resize(bytes.size() - 5);
  data::MemorySource source(bytes);
  const Error error = error_of([&] { data::load_csv(source, "some.csv"); });
  CHECK(error.code == ErrorCode::corrupt);
  CHECK_THAT(error.message, Catch::Contains("some.csv") && Catch::Contains("gzip"));
}
