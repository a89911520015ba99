// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/column_linear.hpp"

#include "kernels/dense/dense.hpp"
#include "kernels/float_environment.hpp"
#include "tensor_parallel/product.hpp"
#include "trireme/base/error.hpp"
#include "trireme/tensor_parallel/conjugate.hpp"

#include <span>
#include <utility>

namespace trireme::tensor_parallel {

template <class T>
ColumnParallelLinear<T>::ColumnParallelLinear(Axis& axis, std::string name, const ColumnParallelLinearOptions& options)
    : axis_(axis), name_(std::move(name)), options_(options) {
  if (options.segments != 0 && options.outputs % options.segments == 0 && options.unit != 0 &&
      segment() % options.unit == 0)
    return;
  fail(ErrorCode::invalid_argument, "'" + name_ + "': " + std::to_string(options.outputs) + " outputs cannot be " +
                                        std::to_string(options.segments) + " segments shared in units of " +
                                        std::to_string(options.unit));
}

template <class T>
void ColumnParallelLinear<T>::forward(const T* x, std::size_t rows, const T* w, const T* b, T* y) {
  const kernels::FloatEnvironment environment;
  const std::size_t outputs = local_outputs();
  product(axis_, Form::plain, Form::transposed, rows, outputs, options_.inputs, x, w, y);
  if (b != nullptr) kernels::add_bias(y, b, rows, outputs);
}

template <class T>
Work ColumnParallelLinear<T>::backward_input_async(const T* dy, std::size_t rows, const T* w, T* dx) {
  const kernels::FloatEnvironment environment;
  product(axis_, Form::plain, Form::plain, rows, options_.inputs, local_outputs(), dy, w, dx);
  return replicated_to_copies_backward_async(axis_, std::span<T>(dx, rows * options_.inputs), name_);
}

template <class T>
void ColumnParallelLinear<T>::backward_weight(const T* x, const T* dy, std::size_t rows, T* dw, T* db) {
  const kernels::FloatEnvironment environment;
  const std::size_t outputs = local_outputs();
  if (db != nullptr) kernels::column_sum(db, dy, rows, outputs);
  product(axis_, Form::transposed, Form::plain, outputs, options_.inputs, rows, dy, x, dw);
}

template <class T>
void ColumnParallelLinear<T>::backward(const T* x, const T* dy, std::size_t rows, const T* w, T* dw, T* db, T* dx) {
  Work summed;
  if (dx != nullptr) summed = backward_input_async(dy, rows, w, dx);
  backward_weight(x, dy, rows, dw, db);
  summed.wait();
}

template <class T>
void ColumnParallelLinear<T>::forward_from_positions(const T* x_share, std::size_t rows, const T* w, const T* b, T* x,
                                                     T* y) {
  const Split split = positions(rows);
  sharded_to_copies(axis_, split, std::span<const T>(x_share, axis_.share_count(split)), std::span<T>(x, split.count()),
                    name_);
  forward(x, rows, w, b, y);
}

template <class T>
void ColumnParallelLinear<T>::backward_input_to_positions(const T* dy, std::size_t rows, const T* w, T* dx_share) {
  const kernels::FloatEnvironment environment;
  const Split split = positions(rows);
  T* const partial = reinterpret_cast<T*>(axis_.scratch(Axis::Scratch::transit, split.count() * sizeof(T)));
  product(axis_, Form::plain, Form::plain, rows, options_.inputs, local_outputs(), dy, w, partial);
  sharded_to_copies_backward(axis_, split, std::span<const T>(partial, split.count()),
                             std::span<T>(dx_share, axis_.share_count(split)), name_);
}

template <class T>
void ColumnParallelLinear<T>::backward_to_positions(const T* x, const T* dy, std::size_t rows, const T* w, T* dw, T* db,
                                                    T* dx_share) {
  backward_input_to_positions(dy, rows, w, dx_share);
  backward_weight(x, dy, rows, dw, db);
}

template class ColumnParallelLinear<float>;
template class ColumnParallelLinear<double>;

}  // namespace trireme::tensor_parallel
