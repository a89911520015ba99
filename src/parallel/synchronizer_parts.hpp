// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/bucketed_synchronizer.hpp"
#include "parallel/step_update.hpp"
#include "trireme/base/parameter_access.hpp"

#include <memory>
#include <string>

namespace trireme::parallel {

/// What a SynchronizerFactory makes. Goes in the order access, update, synchronizer.
struct SynchronizerParts {
  std::unique_ptr<BucketedSynchronizer> synchronizer;
  std::unique_ptr<StepUpdate> update{};       ///< null: every rank updates all values from gradient()
  std::shared_ptr<ParameterAccess> access{};  ///< null: nobody needs to ask for values
  std::string explanation{};                  ///< empty: the synchronizer's
};

}  // namespace trireme::parallel
