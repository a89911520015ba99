// SPDX-License-Identifier: Apache-2.0
#include "models/dropout.hpp"

#include "kernels/fold/fold.hpp"
#include "trireme/base/dtype.hpp"

namespace trireme::models {

template <class T>
void Dropout::amplify(T* values, std::size_t count) const noexcept {
  if (on()) kernels::scale(values, values, dtype_of<T>, factor(), count);
}

template void Dropout::amplify(float*, std::size_t) const noexcept;
template void Dropout::amplify(double*, std::size_t) const noexcept;

}  // namespace trireme::models
