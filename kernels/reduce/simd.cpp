// SPDX-License-Identifier: Apache-2.0
#include "kernels/reduce/simd.hpp"

#include "kernels/convert.hpp"
#include "kernels/reduce/combine.hpp"
#include "kernels/reduce/few_sources.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

std::size_t width_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::i64:
    case DType::u64: return 8;
    case DType::f32:
    case DType::i32:
    case DType::u32: return 4;
    case DType::f16:
    case DType::bf16: return 2;
    default: return 1;
  }
}

/// `count` elements of a narrow float other than bf16 as f32.
void widen(float* destination, DType dtype, const void* source, std::size_t count) {
  switch (dtype) {
    case DType::f16: return Convert<F32, F16>::run(destination, source, count);
    case DType::f8e4m3: return Convert<F32, F8E4M3>::run(destination, source, count);
    default: return Convert<F32, F8E5M2>::run(destination, source, count);
  }
}

/// `count` elements of f32 rounded to a narrow float.
void narrow(void* destination, DType dtype, const void* source, std::size_t count) {
  switch (dtype) {
    case DType::f16: return Convert<F16, F32>::run(destination, source, count);
    case DType::bf16: return Convert<BF16, F32>::run(destination, source, count);
    case DType::f8e4m3: return Convert<F8E4M3, F32>::run(destination, source, count);
    default: return Convert<F8E5M2, F32>::run(destination, source, count);
  }
}

template <class D, class S, class A>
void divide(void* destination, const void* source, A divisor, std::size_t count) {
  typename D::Raw* d = static_cast<typename D::Raw*>(destination);
  const typename S::Raw* s = static_cast<const typename S::Raw*>(source);
  TRIREME_KERNELS_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) d[i] = D::narrow(S::widen(s[i]) / divisor);
}

/// A value on the evaluation stack: source k as k, the combined value in slot k as -1 - k.
using Operand = std::int16_t;

/// Evaluates a program block by block. All sources of a block are read before its part of the destination is written
/// for the last time, and combined values never leave the first-level cache.
class Evaluation {
 public:
  explicit Evaluation(const ReduceTask& task)
      : task_(task), width_(width_of(task.accumulator)), table_(combine_table(task.kind, task.accumulator)) {
    std::size_t slots = task.intermediates > 0 ? task.intermediates : 1;
    slot_elements_ = sizeof(slots_) / (slots * width_);
    // A chunk of f32 at most, whatever the type; whole vectors when there is room for them.
    if (slot_elements_ > chunk) slot_elements_ = chunk;
    if (slot_elements_ > 16) slot_elements_ -= slot_elements_ % 16;
  }

  void run() {
    for (begin_ = 0; begin_ < task_.count; begin_ += size_) {
      size_ = task_.count - begin_ < slot_elements_ ? task_.count - begin_ : slot_elements_;
      block();
      if (task_.also != nullptr) {
        auto* also = static_cast<unsigned char*>(task_.also) + begin_ * width_of(task_.output);
        __builtin_memcpy(also, destination(), size_ * width_of(task_.output));
      }
    }
  }

 private:
  void block() {
    std::size_t depth = 0;
    std::size_t live = 0;  // slots in use; they lie on the stack in ascending order
    for (std::size_t k = 0; k < task_.program_size; ++k) {
      if (task_.program[k] >= 0) {
        stack_[depth++] = task_.program[k];
        continue;
      }
      Operand right = stack_[--depth];
      Operand left = stack_[--depth];
      std::size_t slot = live - (left < 0 ? 1 : 0) - (right < 0 ? 1 : 0);
      live = slot + 1;
      bool straight = k + 1 == task_.program_size && task_.output == task_.accumulator && task_.divisor == 1.0;
      int left_bf16 = 0;
      int right_bf16 = 0;
      const void* l = operand(left, widened_[0], left_bf16);
      const void* r = operand(right, widened_[1], right_bf16);
      table_.loops[left_bf16][right_bf16](straight ? destination() : slot_data(slot), l, r, size_);
      if (straight) return;
      stack_[depth++] = static_cast<Operand>(-1 - static_cast<int>(slot));
    }
    finish(stack_[0]);
  }

  /// Where the elements of an operand are: in the accumulator type, or bf16 if so flagged.
  const void* operand(Operand value, float* widened, int& bf16) const {
    if (value < 0) return slots_ + static_cast<std::size_t>(-1 - value) * slot_elements_ * width_;
    const ReduceSource& source = task_.sources[value];
    const auto* data = static_cast<const unsigned char*>(source.data) + begin_ * width_of(source.dtype);
    bf16 = source.dtype == DType::bf16 ? 1 : 0;
    if (task_.accumulator != DType::f32 || source.dtype == DType::f32 || bf16 != 0) return data;
    widen(widened, source.dtype, data, size_);
    return widened;
  }

  /// Divides and rounds the value of the whole program into the destination.
  void finish(Operand value) {
    int bf16 = 0;
    const void* data = operand(value, widened_[0], bf16);
    bool divides = task_.divisor != 1.0;
    switch (task_.accumulator) {
      case DType::f64:
        if (divides) return divide<F64, F64>(destination(), data, task_.divisor, size_);
        break;
      case DType::f32:
        if (bf16 != 0) {
          Convert<F32, BF16>::run(widened_[0], data, size_);
          data = widened_[0];
        }
        if (divides) {
          divide<F32, F32>(widened_[1], data, static_cast<float>(task_.divisor), size_);
          data = widened_[1];
        }
        if (task_.output != DType::f32) return narrow(destination(), task_.output, data, size_);
        break;
      default: break;
    }
    if (destination() != data) __builtin_memmove(destination(), data, size_ * width_);
  }

  void* slot_data(std::size_t slot) { return slots_ + slot * slot_elements_ * width_; }
  void* destination() const { return static_cast<unsigned char*>(task_.destination) + begin_ * width_of(task_.output); }

  const ReduceTask& task_;
  std::size_t width_;
  CombineTable table_;
  std::size_t slot_elements_ = 0;
  std::size_t begin_ = 0;
  std::size_t size_ = 0;
  Operand stack_[reduce_stack_limit];
  alignas(64) float widened_[2][chunk];
  alignas(64) unsigned char slots_[24 * 1024];
};

}  // namespace

void reduce(const ReduceTask& task) noexcept {
  if (reduce_few_sources(task)) return;
  Evaluation(task).run();
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
