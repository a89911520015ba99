// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trireme::ps {

/// Which updates a worker may miss when it reads values at its clock c (the number of steps it has pushed).
enum class ConsistencyKind : unsigned char {
  bulk_synchronous,  ///< none: one update per step, of the mean over all workers; the bits of all-reduce
  stale_synchronous,  ///< those of the last `staleness` steps of others: every push of clock <= c - staleness - 1 is seen
  asynchronous,       ///< any: each push is an update of its own, applied when it arrives
};

/// Source: Valiant, "A bridging model for parallel computation", 1990; Ho et al., "More effective distributed ML via a stale
/// synchronous parallel parameter server", 2013; Recht et al., "Hogwild!", 2011.
struct Consistency {
  ConsistencyKind kind = ConsistencyKind::bulk_synchronous;
  std::uint32_t staleness = 0;  ///< steps, of stale_synchronous; with 0 it is bulk_synchronous, and parsed as that

  /// "bsp", "ssp:S", "async".  Errors: invalid_argument naming the text.
  static Consistency parse(std::string_view text);
  std::string to_string() const;
  friend bool operator==(const Consistency&, const Consistency&) = default;
};

}  // namespace trireme::ps
