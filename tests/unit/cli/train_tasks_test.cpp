// SPDX-License-Identifier: Apache-2.0
// How samples come to the step loop.
#include "cli/train/content_hash.hpp"
#include "cli/train/tasks/class_labels.hpp"
#include "cli/train/tasks/held_out.hpp"
#include "cli/train/tasks/known_features.hpp"
#include "cli/train/tasks/row_source.hpp"
#include "cli/train/tasks/table_task.hpp"
#include "cli/train/tasks/text_task.hpp"
#include "support/failures.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <numeric>
#include <set>

#include <unistd.h>

using namespace trireme;
using namespace trireme::cli;
using Catch::Matchers::Contains;

using testing::error_of;

namespace {

/// Files that vanish with the test case.
class FolderOfFiles {
 public:
  FolderOfFiles() {
    std::string pattern = (std::filesystem::temp_directory_path() / "trireme-tasks-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~FolderOfFiles() { std::filesystem::remove_all(path_); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    return (path_ / name).string();
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::vector<float> row_of(const RowSource<data::DenseTable>& source, std::uint32_t row) {
  data::DenseTable table;
  source.read(std::array{row}, table);
  std::vector<float> all(table.values.begin(), table.values.end());
  all.push_back(table.labels.at(0));
  return all;
}

}  // namespace

TEST_CASE("Rows are held out at random but always the same, in order, each in one part") {
  const RowSplit split = split_rows(1000, 0.1);
  REQUIRE(split.held_out.size() == 100);
  REQUIRE(split.training.size() == 900);
  REQUIRE(std::is_sorted(split.training.begin(), split.training.end()));
  REQUIRE(std::is_sorted(split.held_out.begin(), split.held_out.end()));
  std::vector<std::uint32_t> all = split.training;
  all.insert(all.end(), split.held_out.begin(), split.held_out.end());
  std::sort(all.begin(), all.end());
  std::vector<std::uint32_t> expected(1000);
  std::iota(expected.begin(), expected.end(), 0u);
  REQUIRE(all == expected);
  REQUIRE(split_rows(1000, 0.1).held_out == split.held_out);
  // Spread over the file: a file sorted by label loses some of every label.
  for (std::uint32_t tenth = 0; tenth < 10; ++tenth) {
    const auto inside = [&](std::uint32_t row) { return row / 100 == tenth; };
    REQUIRE(std::count_if(split.held_out.begin(), split.held_out.end(), inside) >= 3);
  }
  REQUIRE(split_rows(5, 0.0).training.size() == 5);
}

TEST_CASE("Both parts must have samples") {
  REQUIRE(held_out_of(10, 0.0) == 0);
  REQUIRE(held_out_of(10, 0.25) == 2);
  REQUIRE_THAT(error_of([] { held_out_of(3, 0.1); }).message, Contains("--held-out: of 3 samples that is 0"));
}

TEST_CASE("Labels become classes in ascending order, the same on every rank, whoever has them") {
  std::mutex mutex;
  testing::run_ranks(3, [&](World& world) {
    auto communicator = world.communicator();
    LabelCollector own;
    const std::vector<std::vector<float>> seen{{7, -1}, {}, {3, 7}};
    own.add(seen[static_cast<std::size_t>(world.rank())]);
    const ClassLabels labels = ClassLabels::agreed(communicator, own);
    std::vector<float> column{3, 7, -1, 3};
    labels.replace(column);
    const Error error = error_of([&] {
      std::vector<float> unknown{5};
      labels.replace(unknown);
    });
    const std::lock_guard lock(mutex);
    CHECK(labels.size() == 3);
    CHECK(column == std::vector<float>{1, 2, 0, 1});
    CHECK(error.code == ErrorCode::corrupt);
    CHECK_THAT(error.message, Contains("the label 5 was not there before training"));
  });
}

TEST_CASE("Labels that are no classes are refused by all ranks alike, with the way out") {
  const auto refusal = [](const std::vector<float>& of_rank_one) {
    std::mutex mutex;
    std::set<std::string> said;
    testing::run_ranks(2, [&](World& world) {
      auto communicator = world.communicator();
      LabelCollector own;
      const std::vector<float> zeros{4, 4};
      own.add(world.rank() == 1 ? of_rank_one : zeros);
      const Error error = error_of([&] { ClassLabels::agreed(communicator, own); });
      const std::lock_guard lock(mutex);
      CHECK(error.code == ErrorCode::invalid_argument);
      said.insert(error.message);
    });
    REQUIRE(said.size() == 1);
    return *said.begin();
  };
  CHECK_THAT(refusal({1, 1.5f, 2.5f}), Contains("the label 1.5 is no class") && Contains("--loss squared"));
  CHECK_THAT(refusal({16777216.0f}), Contains("the label 1.67772e+07 is no class"));
  CHECK_THAT(refusal({4}), Contains("all labels are 4"));
  std::vector<float> many((std::size_t{1} << 16) + 1);
  std::iota(many.begin(), many.end(), 0.0f);
  CHECK_THAT(refusal(many), Contains("more than 65536 different labels"));
}

TEST_CASE("A test set may have fewer labels than the training set, but no others") {
  testing::run_ranks(1, [&](World& world) {
    auto communicator = world.communicator();
    LabelCollector training, less, other;
    const std::vector<float> one_to_three{1, 2, 3}, two{2}, five{5};
    training.add(one_to_three);
    less.add(two);
    other.add(five);
    const ClassLabels labels = ClassLabels::agreed(communicator, training);
    labels.check_covers(communicator, less);
    CHECK_THAT(error_of([&] { labels.check_covers(communicator, other); }).message,
               Contains("--test-dataset has the label 5, which no row of --dataset has"));
  });
}

TEST_CASE("Lists of any length are gathered in rank order") {
  std::mutex mutex;
  testing::run_ranks(3, [&](World& world) {
    auto communicator = world.communicator();
    const std::vector<double> own(static_cast<std::size_t>(2 * world.rank()), world.rank());
    const auto lists = gather_numbers(communicator, own, "lists");
    const std::lock_guard lock(mutex);
    CHECK(lists == std::vector<std::vector<double>>{{}, {1, 1}, {2, 2, 2, 2}});
  });
}

TEST_CASE("A CSV file is read with or without a header, and its label is the last column, a name or a place") {
  const FolderOfFiles files;
  const std::string headed = files.write("headed.csv", "a,b,y\n1,2,3\n4,5,6\n");
  const std::string bare = files.write("bare.csv", "1,2,3\n4,5,6\n");
  const DatasetSpec with_header{DatasetKind::csv, headed}, without{DatasetKind::csv, bare};
  for (const DatasetSpec& each : {with_header, without}) {
    const auto source = open_dense(each, {});
    REQUIRE(source->size() == 2);
    REQUIRE(source->features() == 2);
    REQUIRE(row_of(*source, 1) == std::vector<float>{4, 5, 6});
    REQUIRE(row_of(*open_dense(each, {.label = "0"}), 0) == std::vector<float>{2, 3, 1});
  }
  const DatasetSpec signs{DatasetKind::csv, files.write("signs.csv", "+1, 0.5 ,-1\n2,3,+1\n")};
  REQUIRE(open_dense(signs, {})->size() == 2);  // its first line is a row, too
  REQUIRE(row_of(*open_dense(with_header, {.label = "b"}), 0) == std::vector<float>{1, 3, 2});
  CHECK_THAT(error_of([&] { open_dense(without, {.label = "b"}); }).message,
             Contains("--label is 'b'") && Contains("names no columns"));
  CHECK_THAT(error_of([&] { open_dense(with_header, {.label = "c"}); }).message, Contains(headed));
  CHECK_THAT(error_of([&] { open_dense({DatasetKind::csv, "/nowhere.csv"}, {}); }).message, Contains("/nowhere.csv"));
}

TEST_CASE("Sparse rows stay sparse") {
  const FolderOfFiles files;
  const auto source = open_sparse({DatasetKind::libsvm, files.write("f", "1 3:0.5\n-1 1:2 2:4\n")});
  REQUIRE(source->size() == 2);
  REQUIRE(source->features() == 3);
  data::SparseTable table;
  source->read(std::array<std::uint32_t, 2>{1, 0}, table);
  REQUIRE(std::vector<std::uint64_t>(table.offsets.begin(), table.offsets.end()) ==
          std::vector<std::uint64_t>{0, 2, 3});
  REQUIRE(std::vector<std::uint32_t>(table.indices.begin(), table.indices.end()) ==
          std::vector<std::uint32_t>{0, 1, 2});
  REQUIRE(std::vector<float>(table.labels.begin(), table.labels.end()) == std::vector<float>{-1, 1});
}

TEST_CASE("A table too large for memory is read from its file, to the same rows") {
  const FolderOfFiles files;
  const DatasetSpec csv{DatasetKind::csv, files.write("t.csv", "a,y\n1,0\n2,1\n3,0\n")};
  const DatasetSpec libsvm{DatasetKind::libsvm, files.write("t.svm", "1 2:5\n0 1:3\n1 1:2 3:4\n")};
  const auto dense_file = open_dense(csv, {}, 0), dense = open_dense(csv, {});
  const auto sparse_file = open_sparse(libsvm, 0), sparse = open_sparse(libsvm);
  REQUIRE(dense_file->size() == 3);
  REQUIRE(sparse_file->size() == 3);
  REQUIRE(sparse_file->features() == 3);
  for (const std::uint32_t row : {2u, 0u}) {
    REQUIRE(row_of(*dense_file, row) == row_of(*dense, row));
    data::SparseTable from_file, from_memory;
    sparse_file->read(std::array{row}, from_file);
    sparse->read(std::array{row}, from_memory);
    REQUIRE(std::equal(from_file.indices.begin(), from_file.indices.end(), from_memory.indices.begin(),
                       from_memory.indices.end()));
    REQUIRE(std::equal(from_file.values.begin(), from_file.values.end(), from_memory.values.begin(),
                       from_memory.values.end()));
    REQUIRE(from_file.labels.at(0) == from_memory.labels.at(0));
  }
  CHECK_THAT(error_of([&] {
               open_sparse({DatasetKind::libsvm, files.write("bare", "1\n0\n")});
             }).message,
             Contains("has labels, but no feature"));
}

TEST_CASE("Features that the training set has not are left out of a test set") {
  data::SparseTable table;
  table.features = 6;
  table.offsets = {0, 2, 3, 5};
  table.indices = {0, 5, 4, 1, 3};
  table.values = {1, 2, 3, 4, 5};
  table.labels = {0, 1, 0};
  drop_features_from(table, 4);
  REQUIRE(table.features == 4);
  REQUIRE(std::vector<std::uint64_t>(table.offsets.begin(), table.offsets.end()) ==
          std::vector<std::uint64_t>{0, 1, 1, 3});
  REQUIRE(std::vector<std::uint32_t>(table.indices.begin(), table.indices.end()) ==
          std::vector<std::uint32_t>{0, 1, 3});
  REQUIRE(std::vector<float>(table.values.begin(), table.values.end()) == std::vector<float>{1, 4, 5});
}

TEST_CASE("A first line of which a part is numbers is a row with a bad cell, not a header") {
  const FolderOfFiles files;
  const auto open = [&](const std::string& first, const std::string& label = {}) {
    return open_dense({DatasetKind::csv, files.write("t.csv", first + "\n1,2,0\n3,4,1\n")}, {.label = label});
  };
  const std::vector<std::pair<std::string, std::vector<std::string>>> bad{
      {"1,2,x", {"line 1, column 3", "'x' is not a number"}},  {"1,,3", {"line 1, column 2", "a missing value"}},
      {"12.5.3,4,1", {"line 1, column 1", "'12.5.3' is not"}}, {"1,2,1e999", {"line 1, column 3", "'1e999' is beyond"}},
      {"1,nan,3", {"line 1, column 2", "'nan' is not"}},       {"a,b,7", {"line 1, column 1", "'a' is not a number"}}};
  for (const auto& [first, words] : bad) {
    const Error error = error_of([&] { open(first); });
    INFO(first << ": " << error.message);
    CHECK(error.code == ErrorCode::corrupt);
    CHECK_THAT(error.message, Contains("t.csv, ") && Contains("(does the file have a header line?)"));
    for (const std::string& word : words) CHECK_THAT(error.message, Contains(word));
  }
  CHECK(open("a,b,c")->size() == 2);
  CHECK(open("nan,,y")->size() == 2);
  CHECK(open("2019,2020,y", "y")->size() == 2);
  CHECK(open("5,6,0")->size() == 3);
}

TEST_CASE("Of a CSV file with another separator than that in use the refusal names both flag and separator") {
  const FolderOfFiles files;
  const auto refusal = [&](const std::string& text, char separator) {
    return error_of([&] {
             open_dense({DatasetKind::csv, files.write("semi.csv", text)}, {.separator = separator});
           })
        .message;
  };
  CHECK_THAT(refusal("a;b;y\n1;2;0\n", ','),
             Contains("semi.csv: no column but the label: no ',' stands in its first line") && Contains("--separator"));
  CHECK_THAT(refusal("1,2\n1,2\n", '\t'), Contains("no tab stands in"));
}

TEST_CASE("Data of one size are told apart by their content") {
  const auto hash_of = [](const std::vector<float>& values) {
    ContentHash hash;
    hash.add(std::as_bytes(std::span(values)));
    return hash.text();
  };
  CHECK(hash_of({1, 2}).size() == 16);
  CHECK(hash_of({1, 2}) == hash_of({1, 2}));
  CHECK(hash_of({1, 2}) != hash_of({2, 1}));
  ContentHash whole, pieces;
  const std::vector<float> a{1}, b{2}, both{1, 2};
  whole.add(std::as_bytes(std::span(both)));
  pieces.add(std::as_bytes(std::span(b)));
  pieces.add(std::as_bytes(std::span(a)));
  CHECK(whole.text() != pieces.text());
}

TEST_CASE("A tenth is held out unless something else is said, or it would be nothing") {
  DataOptions options;
  CHECK(wanted_held_out(options, 10) == 0.1);
  CHECK(wanted_held_out(options, 9) == 0.0);
  options.test = DatasetSpec{DatasetKind::csv, "t"};
  CHECK(wanted_held_out(options, 10) == 0.0);
  options.held_out = 0.5;
  CHECK(wanted_held_out(options, 3) == 0.5);
}

TEST_CASE("Of a folder all regular files are read, by name; links, hidden files and names of marks are left out") {
  const FolderOfFiles files;
  files.write("b", "2");
  files.write("a", "1");
  files.write("_SUCCESS", "");
  files.write(".a.crc", "0");
  std::filesystem::create_symlink("a", files.path() / "c");
  std::filesystem::create_directory(files.path() / "d");
  REQUIRE(files_of(files.path()) == std::vector<std::filesystem::path>{files.path() / "a", files.path() / "b"});
  REQUIRE(files_of(files.path() / "a") == std::vector<std::filesystem::path>{files.path() / "a"});
  CHECK_THAT(error_of([&] { files_of(files.path() / "d"); }).message, Contains("holds no regular file"));
}

TEST_CASE("What a model writes cannot disturb a terminal") {
  CHECK(printable("plain\n\ttext ~") == "plain\n\ttext ~");
  CHECK(printable("\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\xa3") == "\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\xa3");
  CHECK(printable(std::string("\x1b[2J\0\x7f\r", 7)) == "?[2J???");
  CHECK(printable("\xc3(\xe2\x82\xff\xc0\x80") == "?(?????");
}
