// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/device.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/layout/flat_shards.hpp"
#include "trireme/optim/optimizer.hpp"

#include <cstddef>
#include <string>

namespace trireme {

/// What the form of a parameter's state follows from.
struct Optimizer::Form {
  DType dtype = DType::f32;
  TensorShape shape{};    ///< of the logical tensor
  std::size_t first = 0;  ///< 0 of an empty part
  std::size_t count = 0;
};

}  // namespace trireme

namespace trireme::optim {

/// 16-bit parameters have an f32 master among their state, the last of its tensors.
inline bool has_master(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }
/// In which a parameter's state is kept.
inline DType state_dtype(DType dtype) { return has_master(dtype) ? DType::f32 : dtype; }

/// Tensors of one state that share memory, or an extent of a file, begin at such places.
inline std::size_t padded(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

inline bool on_a_device(Device device) { return device.kind != DeviceKind::cpu; }

/// "4096 f32".
inline std::string text_of(std::size_t count, DType dtype) {
  return std::to_string(count) + " " + std::string(name_of(dtype));
}

/// Blocks of a reduction.
inline std::size_t blocks_of(std::size_t count) {
  return (count + layout::reduction_block - 1) / layout::reduction_block;
}

}  // namespace trireme::optim
