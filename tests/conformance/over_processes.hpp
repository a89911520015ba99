// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/world/world.hpp"

namespace trireme::testing {

/// The one World of this process, in which all its cases run.
class ProcessWorld {
 public:
  /// Opens it as the environment says.
  static void open();
  /// Errors: std::runtime_error when a case has failed in the middle and the world with it.
  static World& get();
  static void close();
  /// Leaves without good order, so that the others, who may be waiting in another case, learn of it at once.
  static void give_up();
};

}  // namespace trireme::testing
