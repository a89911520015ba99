// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/dtype.hpp"
#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <string_view>

namespace trireme::device {

/// A row-major matrix in device memory as a factor: `stride` elements from one stored row to the next.
struct Factor {
  const void* data = nullptr;
  std::size_t stride = 0;
  bool transposed = false;  ///< the factor is the transpose of what is stored
};

/// C = alpha A B + beta C.
struct GemmCall {
  DType input = DType::f32;  ///< of A and B: f32, bf16 or f16; C is f32
  std::size_t m = 0;
  std::size_t n = 0;
  std::size_t k = 0;
  Factor a{};
  Factor b{};
  float* c = nullptr;
  std::size_t c_stride = 0;
  float alpha = 1.0f;
  float beta = 0.0f;  ///< 0: what C held is not read
};

/// Products of matrices on one device.
/// Shape:   A m x k, B k x n, C m x n, apart from both; strides at least the stored rows' lengths. Any of m, n, k may be 0;
///          k = 0 leaves beta C. A, B and C at multiples of 16 bytes.
/// Order:   f32 products, sums in f32: no factor is rounded to fewer bits than it has (no TF32). The bits are a function of the
///          call's shape, strides, alpha, beta and factors alone, for one implementation, one kind of device and one version of the
///          library: the same call gives them again, on every rank. Another number of rows may give a row other bits, unless the
///          implementation says more.
/// Cost:    2 m n k operations. Gives the work to the queue and returns; memory is taken at creation only.
/// Threads: one at a time per object, its calls on one stream, or on streams that events order: they share a workspace.
/// Errors:  invalid_argument for another type, or what does not lie as stated; device, naming the failing call.
class MatrixProduct {
 public:
  virtual ~MatrixProduct() = default;
  virtual std::string_view name() const noexcept = 0;  ///< "cublasLt", "own"
  virtual void run(const GemmCall& call, Queue queue) = 0;
};

}  // namespace trireme::device
