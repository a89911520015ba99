// SPDX-License-Identifier: Apache-2.0
#include "cli/spokesman.hpp"

namespace trireme::cli {

Spokesman::Spokesman(const platform::Environment& environment) {
  auto index = environment.find("LOCAL_RANK");
  if (!index) index = environment.find("RANK");
  speaks_ = !index || *index == "0";
}

}  // namespace trireme::cli
