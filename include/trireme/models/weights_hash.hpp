// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"

#include <memory>
#include <span>
#include <string>

namespace trireme::models {

/// XXH3 (64 bits, seed 0) of the raw little-endian bytes of the values in the order given, as 16 lower-case hexadecimal
/// digits: equal when and, in practice, only when all bits of the weights are.
/// Errors: unsupported for values that are not in host memory.
/// Source: https://github.com/Cyan4973/xxHash
std::string weights_hash(std::span<const Parameter> parameters);

/// The same of weights that are not all there at once, tensor by tensor.
class WeightsHash {
 public:
  WeightsHash();
  ~WeightsHash();
  WeightsHash(const WeightsHash&) = delete;
  /// Shape: in host memory.
  void add(ConstTensorView values);
  std::string text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trireme::models
