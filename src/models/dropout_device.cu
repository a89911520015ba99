// SPDX-License-Identifier: Apache-2.0
#include "device/kernel.hpp"
#include "kernels/device_loops.hpp"
#include "kernels/fold/fold_device.hpp"
#include "models/dropout_device.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/data/philox.hpp"

namespace trireme::models {
namespace {

/// Elements are blocks of four values, for which one block of words decides.
struct Masks {
  static constexpr const char* name = "trireme_dropout";
  static constexpr unsigned run_length = 1;
  float* values;
  std::size_t count;   // of a row
  std::size_t blocks;  // of a row
  std::uint64_t key;
  std::uint64_t first_row;
  std::uint32_t site;
  std::uint32_t threshold;
  float factor;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    const auto [row, block] = kernels::on_device::divide(i, blocks);
    const std::uint64_t sample = first_row + row;
    const auto words = data::philox4x32({static_cast<std::uint32_t>(block), site + 1,
                                         static_cast<std::uint32_t>(sample), static_cast<std::uint32_t>(sample >> 32)},
                                        key);
    float* own = values + row * count + 4 * block;
    for (unsigned k = 0; k < 4 && 4 * block + k < count; ++k) own[k] = words[k] < threshold ? 0.0f : own[k] * factor;
  }
};

}  // namespace

void apply(const Dropout& dropout, float* values, std::size_t rows, std::size_t count, std::uint32_t site,
           device::Queue queue) {
  if (!dropout.on()) return;
  const std::size_t blocks = (count + 3) / 4;
  kernels::on_device::launch_elements(queue,
                                      Masks{values, count, blocks, dropout.key(), dropout.first_row(), site,
                                            dropout.threshold(), static_cast<float>(dropout.factor())},
                                      rows * blocks);
}

void amplify(const Dropout& dropout, float* values, std::size_t count, device::Queue queue) {
  if (dropout.on()) kernels::scale(values, values, DType::f32, dropout.factor(), count, queue);
}

void dropout_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(trireme::kernels::on_device::elements_entry<Masks>());
}

}  // namespace trireme::models
