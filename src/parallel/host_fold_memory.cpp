// SPDX-License-Identifier: Apache-2.0
#include "kernels/float_environment.hpp"
#include "kernels/fold/fold.hpp"
#include "parallel/fold_elements.hpp"
#include "parallel/fold_memory.hpp"

#include <cstring>

namespace trireme::parallel {
namespace {

class HostFoldMemory final : public FoldMemory {
 public:
  HostFoldMemory(const Memory& arena, std::size_t bytes, std::span<std::byte> given)
      : own_(given.empty() ? arena.allocate(Bytes{bytes}) : ArenaBuffer{}),
        data_(given.empty() ? own_.bytes().data() : given.data()) {}

  std::byte* data() const override { return data_; }
  TensorView view(std::byte* place, std::size_t count, DType dtype) const override { return {place, count, dtype}; }

  void scale(std::byte* to, const TensorView& source, double weight) override {
    const kernels::FloatEnvironment environment;
    kernels::scale(to, source.data, source.dtype, weight, source.count);
  }
  void scale_add(std::byte* to, const TensorView& source, double weight) override {
    const kernels::FloatEnvironment environment;
    kernels::scale_add(to, source.data, source.dtype, weight, source.count);
  }
  void scale_divide(std::byte* to, const TensorView& source, double weight, double divisor) override {
    const kernels::FloatEnvironment environment;
    kernels::scale_divide(to, source.data, source.dtype, weight, divisor, source.count);
  }
  void add(std::byte* left, const std::byte* right, DType dtype, std::size_t count) override {
    const kernels::FloatEnvironment environment;
    add_elements(left, right, dtype, count);
  }
  void fill_identity(std::byte* to, DType dtype, std::size_t count) override {
    parallel::fill_identity(to, dtype, count);
  }
  void fill_zero(std::byte* to, DType dtype, std::size_t count) override { std::memset(to, 0, count * size_of(dtype)); }

 private:
  ArenaBuffer own_;
  std::byte* data_;
};

}  // namespace

std::unique_ptr<FoldMemory> host_fold_memory(const Memory& arena, std::size_t bytes, std::span<std::byte> given) {
  return std::make_unique<HostFoldMemory>(arena, bytes, given);
}

}  // namespace trireme::parallel
