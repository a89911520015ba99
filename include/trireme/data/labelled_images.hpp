// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace trireme::data {

/// N grey images of the same size with one class label each, whole in memory.
struct LabelledImages {
  std::string name;                  ///< for messages: "fashion-mnist train"
  std::size_t rows = 0;              ///< pixels per column of an image
  std::size_t columns = 0;           ///< pixels per row of an image
  std::size_t classes = 0;           ///< labels are below it
  std::vector<std::uint8_t> images;  ///< size() x rows x columns
  std::vector<std::uint8_t> labels;  ///< size()

  std::size_t size() const { return labels.size(); }
  std::size_t pixels() const { return rows * columns; }
};

/// Reads one set from an IDX file of rank 3 (images) and one of rank 1 (labels).
/// Errors: those of IdxFile; corrupt naming the file when the ranks are others, the counts differ, an image has no
///         pixels or a label is not below `classes`.
LabelledImages load_labelled_images(const std::filesystem::path& images, const std::filesystem::path& labels,
                                    std::size_t classes, std::string name);

/// The two parts of a data set.
struct TrainAndTest {
  LabelledImages train;
  LabelledImages test;
};

/// Where Debian's package dataset-fashion-mnist puts the files.
inline constexpr const char* fashion_mnist_default_directory = "/usr/share/datasets/fashion-mnist";

/// Fashion-MNIST: 60000 and 10000 images of 28 x 28, 10 classes, from {train,t10k}-{images-idx3,labels-idx1}-ubyte in
/// `data_dir` (default: fashion_mnist_default_directory), each plain or with .gz; the plain one wins. Any data set of
/// the same four files works (MNIST, KMNIST): sizes are taken from the files.
/// Errors: invalid_argument naming the four files, the directory and the package when something is missing; those of
///         load_labelled_images.
TrainAndTest load_fashion_mnist(const std::optional<std::filesystem::path>& data_dir = std::nullopt);

}  // namespace trireme::data
