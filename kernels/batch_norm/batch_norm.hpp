// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"

#include <cstddef>

// Normalisation by the statistics of a batch. T is float or double; x, y and their derivatives are row-major, rows x
// columns, a column being a channel: the pixels of all images are rows.
// Order of sums over rows: in f64, blocks of 64 rows ascending from +0, then the balanced tree over blocks. The same bits
// on every Isa.
namespace trireme::kernels {

/// mean[c] = (sum over r of x[r][c]) / rows; squares[c] = sum over r of (x[r][c] - mean[c])^2.  Shape: rows >= 1.
template <class T>
void column_moments(double* mean, double* squares, const T* x, std::size_t rows, std::size_t columns,
                    Isa isa = best_isa()) noexcept;

/// Arguments of normalise().
template <class T>
struct NormaliseCall {
  T* y = nullptr;  ///< may be x's memory
  const T* x = nullptr;
  std::size_t rows = 0;
  std::size_t columns = 0;
  const T* mean = nullptr;   ///< columns
  const T* scale = nullptr;  ///< columns: gain over deviation
  const T* shift = nullptr;  ///< columns
  bool relu = false;
};

/// y[r][c] = (x[r][c] - mean[c]) scale[c] + shift[c], with relu what of it is not below 0; a NaN stays.
template <class T>
void normalise(const NormaliseCall<T>& call, Isa isa = best_isa()) noexcept;

/// Arguments of derivative_sums().
template <class T>
struct DerivativeSumsCall {
  double* sum = nullptr;        ///< columns
  double* projected = nullptr;  ///< columns
  const T* dy = nullptr;
  const T* x = nullptr;
  const T* y = nullptr;  ///< what normalise() wrote with relu: dy counts where it is above 0; null: everywhere
  std::size_t rows = 0;
  std::size_t columns = 0;
  const double* mean = nullptr;  ///< columns
};

/// sum[c] = sum over r of dy[r][c]; projected[c] = sum over r of dy[r][c] (x[r][c] - mean[c]).
template <class T>
void derivative_sums(const DerivativeSumsCall<T>& call, Isa isa = best_isa()) noexcept;

/// Arguments of normalise_backward().
template <class T>
struct NormaliseBackwardCall {
  T* dx = nullptr;  ///< may be dy's memory
  const T* dy = nullptr;
  const T* x = nullptr;
  const T* y = nullptr;  ///< as in derivative_sums()
  std::size_t rows = 0;
  std::size_t columns = 0;
  const T* mean = nullptr;     ///< columns
  const T* scale = nullptr;    ///< columns: gain over deviation
  const T* mean_dy = nullptr;  ///< columns
  const T* slope = nullptr;    ///< columns
};

/// dx[r][c] = (dy[r][c] - mean_dy[c]) scale[c] - (x[r][c] - mean[c]) slope[c].
template <class T>
void normalise_backward(const NormaliseBackwardCall<T>& call, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
