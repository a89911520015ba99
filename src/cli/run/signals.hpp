// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run/descriptor.hpp"

#include <csignal>
#include <vector>

namespace trireme::cli {

/// The signals of the launcher as bytes of a descriptor: nothing runs in a handler. They are blocked from construction
/// on, in every thread started later.
/// Errors: system.
class SignalWatch {
 public:
  SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  ~SignalWatch();

  int descriptor() const { return descriptor_.get(); }
  /// The signals that have arrived; does not block.
  std::vector<int> read();
  /// In a forked child: what the program would have found without us, except that SIGINT is never ignored (shells do
  /// that to background jobs), so that a forwarded one ends it.
  void restore_in_child() const noexcept;

 private:
  sigset_t former_mask_;
  struct sigaction former_pipe_;
  Descriptor descriptor_;
};

}  // namespace trireme::cli
