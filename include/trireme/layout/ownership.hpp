// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/layout/interval.hpp"

#include <functional>
#include <string_view>

namespace trireme::layout {

/// What a rank owns of parameters whose state ranks share out, for whoever saves that state.
struct Ownership {
  std::function<Interval(std::string_view parameter)> owned;  ///< elements, which may be none
  std::function<bool(std::string_view parameter)> alike;      ///< every rank owns all of it, and has the same
  bool saves = true;  ///< among ranks that own the same part (groups that each have all), who saves it
};

}  // namespace trireme::layout
