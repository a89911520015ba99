// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/state.hpp"
#include "trireme/layout/interval.hpp"

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace trireme::testing {

/// Tensors of many sizes and types with made-up bits, a tensor of which every rank has its piece, and values: what a
/// checkpoint can hold.
class ToyState final : public checkpoint::Stateful {
 public:
  struct Tensor {
    std::string name;
    DType dtype;
    std::vector<std::int64_t> shape;
    std::vector<std::uint64_t> storage;  // 8-byte units
    std::size_t count;
    TensorView view() { return {storage.data(), count, dtype}; }
    ConstTensorView view() const { return {storage.data(), count, dtype}; }
  };

  /// `scale` times the sizes.
  ToyState(int rank, int ranks, std::size_t scale = 1) {
    const auto s = static_cast<std::int64_t>(scale);
    add("weight", DType::f32, {37 * s, 128});
    add("half", DType::bf16, {4097, s});
    add("scalar", DType::f64, {});
    add("empty", DType::f32, {0, 5});
    add("bytes", DType::u8, {12345 * s});
    add("wide", DType::f64, {3, 4096 * s});
    pieces = layout::piece({0, pieces_count}, static_cast<std::size_t>(ranks), static_cast<std::size_t>(rank));
    own.resize(pieces.size());
  }

  /// The same in a few hundred bytes, for tests that save it thousands of times.
  static ToyState small(int rank, int ranks) {
    ToyState toy(rank, ranks, 0);
    toy.tensors.clear();
    toy.add("weight", DType::f32, {3, 5});
    toy.add("half", DType::bf16, {7, 1});
    toy.add("scalar", DType::f64, {});
    toy.add("empty", DType::f32, {0, 5});
    toy.add("bytes", DType::u8, {13});
    toy.add("wide", DType::f64, {3, 4});
    return toy;
  }

  /// Bits that depend on (salt, tensor, element) alone.
  void fill(std::uint64_t salt) {
    for (std::size_t t = 0; t < tensors.size(); ++t) {
      for (std::size_t i = 0; i < tensors[t].storage.size(); ++i) tensors[t].storage[i] = mixed(salt, t, i);
    }
    for (std::size_t i = 0; i < own.size(); ++i)
      own[i] = static_cast<double>(mixed(salt, tensors.size(), pieces.begin + i) >> 12);
    number = salt;
    text = "salt " + std::to_string(salt);
  }
  bool holds(std::uint64_t salt) const {
    ToyState other = *this;
    other.fill(salt);
    bool equal = other.own == own && other.number == number && other.text == text;
    for (std::size_t t = 0; t < tensors.size(); ++t) {
      const std::size_t bytes = tensors[t].view().size_bytes();
      equal =
          equal && (bytes == 0 || std::memcmp(tensors[t].storage.data(), other.tensors[t].storage.data(), bytes) == 0);
    }
    return equal;
  }

  void save(checkpoint::StateWriter& writer) const override {
    for (const Tensor& each : tensors) writer.tensor(each.name, each.shape, each.view());
    const std::int64_t shape = pieces_count;
    writer.shard("pieces", std::span(&shape, 1), pieces.begin, std::span<const double>(own));
    writer.value("number", number);
    writer.value("text", text);
  }
  void restore(checkpoint::StateReader& reader) override {
    for (Tensor& each : tensors) reader.into(each.name, each.view());
    reader.into("pieces", pieces.begin, std::span(own));
    number = reader.whole("number");
    text = reader.text("text");
  }

  static constexpr std::size_t pieces_count = 11;
  std::vector<Tensor> tensors;
  layout::Interval pieces;
  std::vector<double> own;
  std::uint64_t number = 0;
  std::string text;

 private:
  void add(std::string name, DType dtype, std::vector<std::int64_t> shape) {
    std::size_t count = 1;
    for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
    std::vector<std::uint64_t> storage((count * size_of(dtype) + 7) / 8);
    tensors.push_back({std::move(name), dtype, std::move(shape), std::move(storage), count});
  }
  static std::uint64_t mixed(std::uint64_t salt, std::uint64_t tensor, std::uint64_t element) {
    std::uint64_t z = (salt * 0x9e3779b97f4a7c15u + tensor) * 0xbf58476d1ce4e5b9u + element;
    z = (z ^ (z >> 30)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
};

}  // namespace trireme::testing
