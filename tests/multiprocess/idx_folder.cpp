// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/idx_folder.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <random>
#include <vector>

namespace trireme::testing {
namespace {

constexpr unsigned side = 6;
constexpr unsigned pixels = side * side;
constexpr unsigned classes = 10;

void write(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  REQUIRE(file.good());
}

std::string header(const std::vector<std::size_t>& dimensions) {
  std::string bytes{'\0', '\0', '\x08', static_cast<char>(dimensions.size())};
  for (const std::size_t extent : dimensions) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>((extent >> shift) & 0xff);
  }
  return bytes;
}

/// Every class has a bright band of pixels of its own, under noise.
void write_set(const std::string& path, const std::string& name, std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::string images = header({count, side, side});
  std::string labels = header({count});
  for (std::size_t i = 0; i < count; ++i) {
    const auto label = static_cast<unsigned>(random() % classes);
    labels += static_cast<char>(label);
    for (unsigned pixel = 0; pixel < pixels; ++pixel) {
      const bool bright = pixel / 3 == label;
      images += static_cast<char>(bright ? 180 + random() % 60 : random() % 60);
    }
  }
  write(path + "/" + name + "-images-idx3-ubyte", images);
  write(path + "/" + name + "-labels-idx1-ubyte", labels);
}

}  // namespace

IdxFolder::IdxFolder(std::size_t train, std::size_t test) {
  write_set(path(), "train", train, 1);
  write_set(path(), "t10k", test, 2);
}

void IdxFolder::truncate(const std::string& name, std::size_t size) const {
  std::filesystem::resize_file(path() + "/" + name, size);
}

void IdxFolder::overwrite(const std::string& name, const std::string& bytes) const {
  write(path() + "/" + name, bytes);
}

}  // namespace trireme::testing
