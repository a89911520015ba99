// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/row_linear.hpp"

#include "kernels/dense/dense.hpp"
#include "kernels/float_environment.hpp"
#include "tensor_parallel/product.hpp"
#include "trireme/base/error.hpp"
#include "trireme/tensor_parallel/conjugate.hpp"

#include <span>
#include <utility>

namespace trireme::tensor_parallel {

template <class T>
RowParallelLinear<T>::RowParallelLinear(Axis& axis, std::string name, const RowParallelLinearOptions& options)
    : axis_(axis), name_(std::move(name)), options_(options) {
  if (options.unit != 0 && options.inputs % options.unit == 0) return;
  fail(ErrorCode::invalid_argument, "'" + name_ + "': " + std::to_string(options.inputs) +
                                        " inputs cannot be shared in units of " + std::to_string(options.unit));
}

template <class T>
void RowParallelLinear<T>::forward(const T* x, std::size_t rows, const T* w, const T* b, T* y) {
  const kernels::FloatEnvironment environment;
  product(axis_, Form::plain, Form::transposed, rows, options_.outputs, local_inputs(), x, w, y);
  partial_to_replicated(axis_, std::span<T>(y, rows * options_.outputs), name_);
  if (b != nullptr) kernels::add_bias(y, b, rows, options_.outputs);
}

template <class T>
void RowParallelLinear<T>::backward_input(const T* dy, std::size_t rows, const T* w, T* dx) {
  const kernels::FloatEnvironment environment;
  product(axis_, Form::plain, Form::plain, rows, local_inputs(), options_.outputs, dy, w, dx);
}

template <class T>
void RowParallelLinear<T>::backward_weight(const T* x, const T* dy, std::size_t rows, T* dw, T* db) {
  const kernels::FloatEnvironment environment;
  if (db != nullptr) kernels::column_sum(db, dy, rows, options_.outputs);
  product(axis_, Form::transposed, Form::plain, options_.outputs, local_inputs(), rows, dy, x, dw);
}

template <class T>
void RowParallelLinear<T>::backward(const T* x, const T* dy, std::size_t rows, const T* w, T* dw, T* db, T* dx) {
  backward_weight(x, dy, rows, dw, db);
  if (dx != nullptr) backward_input(dy, rows, w, dx);
}

template <class T>
void RowParallelLinear<T>::forward_to_positions(const T* x, std::size_t rows, const T* w, const T* b, T* y_share) {
  const kernels::FloatEnvironment environment;
  const Split split = positions(rows);
  T* const partial = reinterpret_cast<T*>(axis_.scratch(Axis::Scratch::transit, split.count() * sizeof(T)));
  product(axis_, Form::plain, Form::transposed, rows, options_.outputs, local_inputs(), x, w, partial);
  partial_to_sharded(axis_, split, std::span<const T>(partial, split.count()),
                     std::span<T>(y_share, axis_.share_count(split)), name_);
  if (b != nullptr) kernels::add_bias(y_share, b, axis_.share(split).size(), options_.outputs);
}

template <class T>
void RowParallelLinear<T>::gather_gradient(const T* dy_share, std::size_t rows, T* dy) {
  const Split split = positions(rows);
  partial_to_sharded_backward(axis_, split, std::span<const T>(dy_share, axis_.share_count(split)),
                              std::span<T>(dy, split.count()), name_);
}

template <class T>
void RowParallelLinear<T>::backward_from_positions(const T* x, const T* dy_share, std::size_t rows, const T* w, T* dy,
                                                   T* dw, T* db, T* dx) {
  gather_gradient(dy_share, rows, dy);
  backward(x, dy, rows, w, dw, db, dx);
}

template class RowParallelLinear<float>;
template class RowParallelLinear<double>;

}  // namespace trireme::tensor_parallel
