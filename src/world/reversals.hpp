// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/rendezvous/store.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace trireme {

/// Where a rank cannot reach a lower one (a firewall may let connections through in one direction only), it asks that one,
/// through the store, to connect the other way round. From then on it only waits: so there are never two links.
/// Threads: one, that of `store`.
class Reversals {
 public:
  struct Request {
    int peer = -1;
    std::string why;  ///< what the peer has tried
  };

  /// Without a store nobody is asked.
  Reversals(rendezvous::Store* store, std::uint64_t epoch, int rank);
  bool possible() const { return store_ != nullptr; }
  /// Asks `peer` to connect to this rank. Errors: as the store's.
  void ask(int peer, const std::string& why);
  /// Who has asked this rank since the last call. Errors: as the store's.
  std::vector<Request> asked();

 private:
  std::string key(int peer, const std::string& what) const;

  rendezvous::Store* store_;
  std::uint64_t epoch_;
  int rank_;
  std::int64_t seen_ = 0;
};

}  // namespace trireme
