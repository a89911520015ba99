// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/initial.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/models/gpt.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::models {

/// The parameters of one block, in declaration order.
enum class BlockParameter : std::size_t {
  norm1_weight,
  norm1_bias,
  qkv_weight,
  qkv_bias,
  projection_weight,
  projection_bias,
  norm2_weight,
  norm2_bias,
  expand_weight,
  expand_bias,
  contract_weight,
  contract_bias,
  count
};

/// Where parameters stand in the list: both embeddings, the blocks, the final norm.
struct GptIndex {
  static constexpr std::size_t token_embedding = 0;
  static constexpr std::size_t position_embedding = 1;
  static constexpr std::size_t block(std::size_t layer) {
    return 2 + layer * static_cast<std::size_t>(BlockParameter::count);
  }
  static constexpr std::size_t final_norm_weight(std::size_t layers) { return block(layers); }
  static constexpr std::size_t final_norm_bias(std::size_t layers) { return block(layers) + 1; }
  static constexpr std::size_t count(std::size_t layers) { return block(layers) + 2; }

  // Units of parameters that are used together: the outer ones, at both ends of a pass, then the blocks.
  static constexpr std::size_t outer_unit = 0;
  static constexpr std::size_t block_unit(std::size_t layer) { return layer + 1; }
  static constexpr std::size_t unit_of(std::size_t parameter, std::size_t layers) {
    if (parameter < block(0) || parameter >= block(layers)) return outer_unit;
    return block_unit((parameter - block(0)) / static_cast<std::size_t>(BlockParameter::count));
  }
};

/// A parameter before it has memory, and how its values start.
struct GptParameter {
  std::string name;
  std::vector<std::int64_t> shape;
  std::size_t count = 0;
  Initial initial;
};

/// Errors: invalid_argument naming the option.
void check(const GptOptions& options);

/// All parameters of a model with valid options, in declaration order.
std::vector<GptParameter> parameters_of(const GptOptions& options);

/// One block's part of a model's list.
template <class T>
struct BlockTensors {
  const Parameter* first = nullptr;
  const T* value(BlockParameter which) const { return static_cast<const T*>(of(which).value.data); }
  T* gradient(BlockParameter which) const { return static_cast<T*>(of(which).gradient.data); }

 private:
  const Parameter& of(BlockParameter which) const { return first[static_cast<std::size_t>(which)]; }
};

}  // namespace trireme::models
