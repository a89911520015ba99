// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/dtype.hpp"

#include <array>

namespace trireme {
namespace {

struct Traits {
  std::string_view name;
  std::uint8_t size;
  bool floating;
  bool supported;
  DType accumulator;
};

constexpr std::array<Traits, dtype_count> traits{{
    {"f64", 8, true, true, DType::f64},
    {"f32", 4, true, true, DType::f32},
    {"f16", 2, true, true, DType::f32},
    {"bf16", 2, true, true, DType::f32},
    {"f8e4m3", 1, true, true, DType::f32},
    {"f8e5m2", 1, true, true, DType::f32},
    {"i64", 8, false, true, DType::i64},
    {"i32", 4, false, true, DType::i32},
    {"i8", 1, false, true, DType::i8},
    {"u64", 8, false, true, DType::u64},
    {"u32", 4, false, true, DType::u32},
    {"u8", 1, false, true, DType::u8},
    {"bool", 1, false, true, DType::boolean},
}};

constexpr const Traits& of(DType dtype) { return traits[static_cast<std::size_t>(dtype)]; }

}  // namespace

std::size_t size_of(DType dtype) noexcept { return of(dtype).size; }
std::string_view name_of(DType dtype) noexcept { return of(dtype).name; }
bool is_floating(DType dtype) noexcept { return of(dtype).floating; }
DType accumulator_of(DType dtype) noexcept { return of(dtype).accumulator; }
bool is_supported(DType dtype) noexcept { return of(dtype).supported; }

bool parse_dtype(std::string_view name, DType& dtype) noexcept {
  for (int i = 0; i < dtype_count; ++i) {
    if (traits[static_cast<std::size_t>(i)].name == name) {
      dtype = static_cast<DType>(i);
      return true;
    }
  }
  return false;
}

}  // namespace trireme
