// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <numeric>
#include <string>
#include <vector>

namespace trireme::testing {

/// What one rank found wrong. Catch's assertions are not for several threads: ranks note it, the test looks afterwards.
class Complaints {
 public:
  void expect(bool holds, const std::string& what) {
    if (!holds) text_ += what + "; ";
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// What all ranks found wrong: empty where all is well.
inline std::string joined(const std::vector<std::string>& complaints) {
  return std::accumulate(complaints.begin(), complaints.end(), std::string());
}

}  // namespace trireme::testing
