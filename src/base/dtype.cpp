// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/dtype.hpp"

namespace trireme {

bool parse_dtype(std::string_view name, DType& dtype) noexcept {
  for (int i = 0; i < dtype_count; ++i) {
    if (name_of(static_cast<DType>(i)) == name) {
      dtype = static_cast<DType>(i);
      return true;
    }
  }
  return false;
}

}  // namespace trireme
