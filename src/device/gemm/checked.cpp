// SPDX-License-Identifier: Apache-2.0
#include "device/gemm/checked.hpp"

#include "trireme/base/error.hpp"

#include <cstdint>
#include <string>

namespace trireme::device {
namespace {

constexpr std::size_t alignment = 16;

void check_matrix(const char* name, const void* data, std::size_t rows, std::size_t columns, std::size_t stride) {
  const std::string which = std::string("gemm: ") + name;
  if (rows == 0 || columns == 0) return;
  if (data == nullptr || reinterpret_cast<std::uintptr_t>(data) % alignment != 0)
    fail(ErrorCode::invalid_argument, which + " does not lie at a multiple of " + std::to_string(alignment) + " bytes");
  if (stride < columns)
    fail(ErrorCode::invalid_argument,
         which + " has rows of " + std::to_string(columns) + " elements, " + std::to_string(stride) + " apart");
}

}  // namespace

void check(const GemmCall& call) {
  if (call.input != DType::f32 && call.input != DType::bf16 && call.input != DType::f16)
    fail(ErrorCode::invalid_argument,
         "gemm: factors are f32, bf16 or f16 on devices, not " + std::string(name_of(call.input)));
  const auto factor = [](const char* name, const Factor& of, std::size_t rows, std::size_t columns) {
    of.transposed ? check_matrix(name, of.data, columns, rows, of.stride)
                  : check_matrix(name, of.data, rows, columns, of.stride);
  };
  factor("A", call.a, call.m, call.k);
  factor("B", call.b, call.k, call.n);
  check_matrix("C", call.c, call.m, call.n, call.c_stride);
}

}  // namespace trireme::device
