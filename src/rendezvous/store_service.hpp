// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rendezvous/protocol.hpp"
#include "rendezvous/store_contents.hpp"

#include <map>
#include <vector>

namespace trireme::rendezvous {

/// The server's store: contents, and who waits for what. Without sockets: asked by connection number, it says what to
/// send to whom. A connection waits for at most one key; its next request cancels that.
class StoreService {
 public:
  struct Outgoing {
    std::uint64_t connection = 0;
    ServerMessage message{};
  };

  std::vector<Outgoing> set(std::uint64_t connection, const SetRequest& request);
  std::vector<Outgoing> get(std::uint64_t connection, const GetRequest& request);
  std::vector<Outgoing> add(std::uint64_t connection, const AddRequest& request);
  void forget(std::uint64_t connection) { waiting_.erase(connection); }
  /// The world has failed: nobody will set what is not set. Answers all who wait, and from now on all who would.
  std::vector<Outgoing> fail_waiting(const Cause& verdict);

 private:
  StoreContents contents_;
  std::map<std::uint64_t, GetRequest> waiting_;  ///< by connection
  std::optional<Cause> verdict_;
};

}  // namespace trireme::rendezvous
