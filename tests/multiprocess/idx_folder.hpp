// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "multiprocess/launched.hpp"

#include <string>

namespace trireme::testing {

/// A small data set as the four IDX files of Fashion-MNIST, in a folder that vanishes with it: 6 x 6 pixels, ten classes
/// that a small network learns in a few steps.
class IdxFolder {
 public:
  IdxFolder(std::size_t train, std::size_t test);

  const std::string& path() const { return folder_.path(); }
  /// Leaves only the first `size` bytes of a file.
  void truncate(const std::string& name, std::size_t size) const;
  /// Replaces a file's bytes.
  void overwrite(const std::string& name, const std::string& bytes) const;

 private:
  TemporaryFolder folder_;
};

}  // namespace trireme::testing
