// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace trireme::models {

/// Where a Gpt lays a mask on: once on the embeddings, three times in every block.
struct GptSite {
  static constexpr std::uint32_t embedding = 0;
  static constexpr std::uint32_t attention(std::size_t layer) { return block(layer); }
  static constexpr std::uint32_t projection(std::size_t layer) { return block(layer) + 1; }
  static constexpr std::uint32_t mlp(std::size_t layer) { return block(layer) + 2; }

 private:
  static constexpr std::uint32_t block(std::size_t layer) { return static_cast<std::uint32_t>(1 + 3 * layer); }
};

}  // namespace trireme::models
