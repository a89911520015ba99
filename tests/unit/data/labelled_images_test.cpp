// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/labelled_images.hpp"

#include "support/failures.hpp"
#include "unit/data/idx_bytes.hpp"
#include "unit/data/temporary_folder.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <string>

#include <unistd.h>

using namespace trireme;
using testing::counting_bytes;
using testing::error_of;
using testing::gzip;
using testing::idx_bytes;

namespace {

/// A complete small data set: 6 training and 3 test images of 2 x 3.
void write_data_set(const testing::TemporaryFolder& folder) {
  folder.write("train-images-idx3-ubyte", idx_bytes({6, 2, 3}, counting_bytes(36)));
  folder.write("train-labels-idx1-ubyte.gz", gzip(idx_bytes({6}, counting_bytes(6))));
  folder.write("t10k-images-idx3-ubyte.gz", gzip(idx_bytes({3, 2, 3}, counting_bytes(18))));
  folder.write("t10k-labels-idx1-ubyte", idx_bytes({3}, {9, 8, 7}));
}

}  // namespace

TEST_CASE("load_fashion_mnist reads its four files, each plain or gzipped") {
  const testing::TemporaryFolder folder;
  write_data_set(folder);
  const auto [train, test] = data::load_fashion_mnist(folder.path());
  REQUIRE(train.size() == 6);
  REQUIRE(train.rows == 2);
  REQUIRE(train.columns == 3);
  REQUIRE(train.classes == 10);
  REQUIRE(train.images == counting_bytes(36));
  REQUIRE(train.labels == counting_bytes(6));
  REQUIRE(test.size() == 3);
  REQUIRE(test.images == counting_bytes(18));
  REQUIRE(test.labels == testing::ByteVector{9, 8, 7});
  REQUIRE(train.name != test.name);
}

TEST_CASE("load_fashion_mnist says what is wrong with the data folder in one line") {
  const testing::TemporaryFolder folder;
  const auto message_of = [&](const std::filesystem::path& path) {
    const Error error = error_of([&] { data::load_fashion_mnist(path); });
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK(error.message.find('\n') == std::string::npos);
    return error.message;
  };
  SECTION("a missing folder") {
    CHECK_THAT(message_of(folder.path() / "nowhere"),
               Catch::Contains("--data-dir") && Catch::Contains("nowhere") && Catch::Contains("does not exist"));
  }
  SECTION("a file in place of the folder") {
    CHECK_THAT(message_of(folder.write("file", {})),
               Catch::Contains("--data-dir") && Catch::Contains("not a directory"));
  }
  SECTION("files that cannot be looked for are not missing") {
    write_data_set(folder);
    std::filesystem::remove(folder.path() / "train-images-idx3-ubyte");
    std::filesystem::create_symlink("train-images-idx3-ubyte", folder.path() / "train-images-idx3-ubyte");
    CHECK_THAT(message_of(folder.path()),
               Catch::Contains("--data-dir") && Catch::Contains("symbolic links") && !Catch::Contains("missing"));
  }
  SECTION("a folder that may not be read") {
    write_data_set(folder);
    const bool is_root = ::geteuid() == 0;
    if (is_root && ::seteuid(65534) != 0) return;  // who may read everything shows nothing
    const auto closed = std::filesystem::temp_directory_path() / ("closed." + std::to_string(::getpid()));
    std::filesystem::create_directory(closed);
    std::filesystem::permissions(closed, std::filesystem::perms::none);
    const std::string said = message_of(closed);
    std::filesystem::remove(closed);
    if (is_root) REQUIRE(::seteuid(0) == 0);
    CHECK_THAT(said,
               Catch::Contains("--data-dir") && Catch::Contains("Permission denied") && !Catch::Contains("missing"));
  }
  SECTION("files that are not there: which ones, and where to get them") {
    write_data_set(folder);
    std::filesystem::remove(folder.path() / "t10k-labels-idx1-ubyte");
    CHECK_THAT(message_of(folder.path()),
               Catch::Contains("missing: t10k-labels-idx1-ubyte)") && !Catch::Contains("train-images-idx3-ubyte") &&
                   Catch::Contains("dataset-fashion-mnist") && Catch::Contains(folder.path().string()));
  }
}

TEST_CASE("load_labelled_images refuses sets that contradict themselves, naming the file") {
  const testing::TemporaryFolder folder;
  const auto images = folder.write("images", idx_bytes({4, 2, 2}, counting_bytes(16)));
  const auto labels = folder.write("labels", idx_bytes({4}, {0, 1, 2, 3}));
  const auto refused = [&](const std::filesystem::path& i, const std::filesystem::path& l, const std::string& file) {
    const Error error = error_of([&] { data::load_labelled_images(i, l, 4, "set"); });
    CAPTURE(error.message);
    CHECK(error.code == ErrorCode::corrupt);
    CHECK_THAT(error.message, Catch::Contains(file));
  };
  REQUIRE(data::load_labelled_images(images, labels, 4, "set").size() == 4);
  refused(labels, labels, labels.string());
  refused(images, images, images.string());
  refused(images, folder.write("five", idx_bytes({5}, {0, 1, 2, 3, 0})), "five");
  refused(images, folder.write("high", idx_bytes({4}, {0, 1, 4, 0})), "label 4 of sample 2");
  refused(folder.write("flat", idx_bytes({4, 0, 2}, {})), labels, "flat");
}

TEST_CASE("the installed Fashion-MNIST has 60000 and 10000 images in 10 equal classes") {
  if (!std::filesystem::exists(data::fashion_mnist_default_directory)) {
    WARN("dataset-fashion-mnist is not installed");
    return;
  }
  const auto [train, test] = data::load_fashion_mnist();
  REQUIRE(train.size() == 60000);
  REQUIRE(test.size() == 10000);
  REQUIRE(train.pixels() == 784);
  std::vector<int> histogram(10);
  for (auto label : train.labels) ++histogram[label];
  REQUIRE(histogram == std::vector<int>(10, 6000));
}
