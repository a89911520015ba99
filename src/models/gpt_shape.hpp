// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace trireme::models {

/// What one pass of a Gpt works on: `rows` sequences of `length` tokens.
struct GptShape {
  std::size_t rows = 0;
  std::size_t length = 0;
  std::size_t heads = 0;
  std::size_t channels = 0;

  std::size_t positions() const { return rows * length; }
  std::size_t head_channels() const { return channels / heads; }
};

}  // namespace trireme::models
