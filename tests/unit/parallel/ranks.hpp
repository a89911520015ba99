// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"
#include "trireme/world/run_ranks.hpp"

#include <numeric>
#include <string>
#include <vector>

namespace trireme::testing {

/// Catch's assertions are not for several threads: ranks note what went wrong, the test looks afterwards.
class Complaints {
 public:
  explicit Complaints(int ranks) : texts_(static_cast<std::size_t>(ranks)) {}
  void expect(int rank, bool holds, const std::string& what) {
    if (!holds) texts_[static_cast<std::size_t>(rank)] += "rank " + std::to_string(rank) + ": " + what + "; ";
  }
  /// Expects that `call` is refused with an invalid_argument of one line that contains `part`.
  template <class Call>
  void expect_refusal(int rank, const std::string& part, Call call) {
    std::string heard = "nothing";
    try {
      call();
    } catch (const Exception& refused) {
      heard = refused.error().message;
      const bool fits = refused.error().code == ErrorCode::invalid_argument && heard.find('\n') == std::string::npos;
      if (fits && heard.find(part) != std::string::npos) return;
      heard = refused.what();
    }
    expect(rank, false, "expected a refusal with '" + part + "', heard '" + heard + "'");
  }
  std::string all() const { return std::accumulate(texts_.begin(), texts_.end(), std::string()); }

 private:
  std::vector<std::string> texts_;
};

/// What a rank threw; none if nothing or something else than an Exception.
inline Error error_of(const std::exception_ptr& thrown) {
  if (!thrown) return {.code = ErrorCode::none, .message = "nothing was thrown"};
  try {
    std::rethrow_exception(thrown);
  } catch (const Exception& error) {
    return error.error();
  } catch (const std::exception& error) {
    return {.code = ErrorCode::none, .message = error.what()};
  }
}

}  // namespace trireme::testing
