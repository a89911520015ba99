// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace trireme::parallel {

struct SynchronizerSetup;
struct SynchronizerParts;

/// Makes what brings gradients together elsewhere than among the ranks, and perhaps updates values there: on parameter servers
/// (ps/synchronizer.hpp). A value of DataParallelOptions; used again after rebind().
class SynchronizerFactory {
 public:
  virtual ~SynchronizerFactory() = default;
  /// For these parameters and ranks. On every rank at the same time; may be collective.
  virtual SynchronizerParts make(const SynchronizerSetup& setup) = 0;
  /// What must be equal on all ranks, in a line, for comparison and complaint.
  virtual std::string settings() const = 0;
};

}  // namespace trireme::parallel
