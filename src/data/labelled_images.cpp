// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/labelled_images.hpp"

#include "trireme/base/error.hpp"
#include "trireme/data/idx.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <system_error>
#include <utility>

namespace trireme::data {
namespace fs = std::filesystem;
namespace {

IdxFile read_of_rank(const fs::path& path, std::size_t rank, const char* what) {
  IdxFile file = IdxFile::read(path);
  if (file.dimensions().size() != rank) {
    fail(ErrorCode::corrupt, path.string() + ": " + what + " have IDX rank " + std::to_string(rank) +
                                 ", this file has " + std::to_string(file.dimensions().size()));
  }
  return file;
}

constexpr const char* what_to_do =
    "name the folder of your data with --data-dir (of a container: one that is mounted), put what is missing there (plain or "
    "with .gz), or install Debian's dataset-fashion-mnist";

/// The four files of the data set, or an error that says what is missing.
std::array<fs::path, 4> find_fashion_mnist(const fs::path& directory, bool given) {
  // Only what is known not to be there is missing.
  const auto there = [&](const fs::path& path) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (status.type() == fs::file_type::none || status.type() == fs::file_type::unknown)
      fail(ErrorCode::invalid_argument,
           (given ? "--data-dir " : "Fashion-MNIST: ") + path.string() + ": " + error.message());
    return status;
  };
  const fs::file_status status = there(directory);
  if (given && !fs::exists(status)) {
    fail(ErrorCode::invalid_argument, "--data-dir " + directory.string() + " does not exist");
  }
  if (given && !fs::is_directory(status)) {
    fail(ErrorCode::invalid_argument, "--data-dir " + directory.string() + " is not a directory");
  }
  constexpr std::array names = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                "t10k-labels-idx1-ubyte"};
  std::array<fs::path, 4> paths;
  std::string missing;
  for (std::size_t i = 0; i < names.size(); ++i) {
    paths[i] = directory / names[i];
    if (fs::exists(there(paths[i]))) continue;
    paths[i] += ".gz";
    if (!fs::exists(there(paths[i]))) missing += (missing.empty() ? "" : ", ") + std::string(names[i]);
  }
  if (!missing.empty()) {
    fail(ErrorCode::invalid_argument,
         "Fashion-MNIST is not in " + directory.string() + " (missing: " + missing + "): " + what_to_do);
  }
  return paths;
}

}  // namespace

LabelledImages load_labelled_images(const fs::path& images_path, const fs::path& labels_path, std::size_t classes,
                                    std::string name) {
  IdxFile images = read_of_rank(images_path, 3, "images");
  IdxFile labels = read_of_rank(labels_path, 1, "labels");
  const std::span<const std::size_t> shape = images.dimensions();
  if (shape[0] != labels.dimensions()[0]) {
    fail(ErrorCode::corrupt, labels_path.string() + " holds " + std::to_string(labels.dimensions()[0]) + " labels, " +
                                 images_path.string() + " holds " + std::to_string(shape[0]) + " images");
  }
  if (shape[1] == 0 || shape[2] == 0) fail(ErrorCode::corrupt, images_path.string() + ": images without pixels");
  const auto values = labels.elements();
  const auto bad = std::find_if(values.begin(), values.end(), [&](std::uint8_t label) { return label >= classes; });
  if (bad != values.end()) {
    fail(ErrorCode::corrupt, labels_path.string() + ": label " + std::to_string(*bad) + " of sample " +
                                 std::to_string(bad - values.begin()) + " is not below " + std::to_string(classes));
  }
  LabelledImages set;
  set.name = std::move(name);
  set.rows = shape[1];
  set.columns = shape[2];
  set.classes = classes;
  set.images = std::move(images).take_elements();
  set.labels = std::move(labels).take_elements();
  return set;
}

TrainAndTest load_fashion_mnist(const std::optional<fs::path>& data_dir) {
  const auto files = find_fashion_mnist(data_dir.value_or(fashion_mnist_default_directory), data_dir.has_value());
  TrainAndTest sets;
  sets.train = load_labelled_images(files[0], files[1], 10, "fashion-mnist train");
  sets.test = load_labelled_images(files[2], files[3], 10, "fashion-mnist test");
  if (sets.train.rows != sets.test.rows || sets.train.columns != sets.test.columns) {
    fail(ErrorCode::corrupt,
         files[2].string() + ": test images are of another size than those of " + files[0].string());
  }
  return sets;
}

}  // namespace trireme::data
