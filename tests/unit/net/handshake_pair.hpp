// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pair.hpp"
#include "support/failures.hpp"
#include "trireme/net/handshake.hpp"

#include <future>

namespace trireme::net::testing {

using trireme::testing::error_of;

/// How a handshake ended on both sides.
struct Outcome {
  Error client_error;
  Error server_error;
  Identity seen_by_client;
  Identity seen_by_server;
};

struct Party {
  JobKey key;
  Identity identity;
};

inline Party worker(const JobKey& key, int rank = 1) {
  return {key, make_identity("job-7", "worker", "control", 4, rank)};
}
inline Party store(const JobKey& key) { return {key, make_identity("job-7", "store", "control", 4, -1)}; }

/// Runs both sides at the same time; each closes its socket when it is done.
inline Outcome shake_hands(Pair pair, const Party& client, const Party& server, Deadline deadline) {
  Outcome outcome;
  auto serving = std::async(std::launch::async, [&, socket = std::move(pair.right)]() mutable {
    outcome.server_error =
        error_of([&] { outcome.seen_by_server = handshake_as_server(socket, server.key, server.identity, deadline); });
    socket.close();
  });
  outcome.client_error =
      error_of([&] { outcome.seen_by_client = handshake_as_client(pair.left, client.key, client.identity, deadline); });
  pair.left.close();
  serving.get();
  return outcome;
}

}  // namespace trireme::net::testing
