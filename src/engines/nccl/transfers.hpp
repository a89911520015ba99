// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/operation.hpp"
#include "engines/nccl/clique.hpp"
#include "engines/nccl/operation_state.hpp"
#include "engines/nccl/surroundings.hpp"
#include "trireme/comm/engine.hpp"

#include <vector>

namespace trireme::engines::nccl {

/// Sends and receives, on an NCCL communicator and a stream of their own, so that they are ordered with nothing else.
///
/// NCCL's do block the stream until the peer has come to the same place, and streams run in order: if each rank gave them in
/// an order of its own, three ranks could wait for each other in a circle. So a transfer is given to the device by both ranks
/// while neither gives another: first both tell that they have called it (with its signature); then the higher rank, when
/// free, keeps itself free for it and offers, and the lower takes the offer when free. Nobody waits for a higher rank, so
/// nobody waits in a circle; and the order in which pairs met is one that all streams agree with.
class Transfers {
 public:
  Transfers(Surroundings& surroundings, Clique& clique, Stream stream)
      : surroundings_(surroundings), clique_(clique), stream_(stream) {}

  void start(comm::Operation& operation, OperationState& state);
  /// Gives to the device what can be; true if anything moved.
  /// Errors: device; then giving() is the operation that it is about.
  bool advance();
  /// Null when advance() has returned.
  comm::Operation* giving() const { return giving_; }
  /// Will not be given any more.
  void forget(comm::Operation& operation) noexcept;

 private:
  bool is_higher(const comm::Operation& operation) const { return surroundings_.room.rank > operation.request.root; }
  void give(comm::Operation& operation, OperationState& state);
  transport::MessageKey key_of(const comm::Operation& operation, std::uint32_t word, bool from_sender) const;
  Surroundings& surroundings_;
  Clique& clique_;
  Stream stream_;
  std::vector<comm::Operation*> waiting_;  // not given yet, in the order of the calls
  comm::Operation* engaged_ = nullptr;     // for which this rank keeps itself free
  comm::Operation* giving_ = nullptr;      // of those that advance() is about
};

}  // namespace trireme::engines::nccl
