// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/op.hpp"

namespace trireme {

std::string_view name_of(ReduceKind kind) noexcept {
  switch (kind) {
    case ReduceKind::sum: return "sum";
    case ReduceKind::product: return "product";
    case ReduceKind::min: return "min";
    case ReduceKind::max: return "max";
    case ReduceKind::average: return "average";
    case ReduceKind::premultiplied_sum: return "premultiplied_sum";
  }
  return "?";
}

std::string_view name_of(ReductionOrder order) noexcept {
  return order == ReductionOrder::canonical ? "canonical" : "fastest";
}

}  // namespace trireme
