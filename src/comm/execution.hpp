// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/executable_plan.hpp"
#include "comm/scratch_pool.hpp"
#include "kernels/reduce/reduce.hpp"
#include "trireme/comm/engine.hpp"
#include "trireme/transport/endpoint.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace trireme::comm {

/// The executor: one rank's part of one plan, for one operation, over one endpoint. The only place where what a
/// collective looks like (plan), how bytes move (transport) and how numbers add (kernels) meet.
///
/// Every (segment, step) pair is an instance. An instance starts when its dependencies are complete; sends and receives
/// then complete through the endpoint, the others at once. Empty ranges move nothing (a barrier's apart).
class Execution {
 public:
  struct Setup {
    const ExecutablePlan* plan = nullptr;
    Request request{};
    transport::Stamp stamp{};
    std::uint32_t communicator = 0;
    std::uint64_t operation = 0;
    std::span<const int> members{};  ///< communicator rank -> world rank
    double divisor = 1.0;
    int segments = 1;
  };

  /// `ranks`: of the communicator; what its usual plans need is reserved.
  explicit Execution(std::size_t ranks) {
    slot_offset_.reserve(4 * ranks + 64);
    sources_.reserve(ranks + 2);
  }

  /// Bytes of scratch a run of this shape takes, and of instances.
  static std::size_t scratch_bytes(const ExecutablePlan& plan, const Request& request);
  static std::size_t instance_bytes(const ExecutablePlan& plan, int segments);

  /// Takes working memory and starts every instance without dependencies.
  /// Errors: system when there is no working memory left; then nothing has moved.
  void start(const Setup& setup, transport::Endpoint& endpoint, ScratchPool& pool);
  Progress poll(transport::Endpoint& endpoint) noexcept;
  /// Gives the working memory back. After success, or after the endpoint has dropped every request of it.
  void finish(ScratchPool& pool) noexcept;

  bool active() const { return setup_.plan != nullptr; }
  /// The communicator rank at the other end of the first failed request, -1 if none.
  int failed_peer() const { return failed_peer_; }
  /// Communicator ranks whose bytes are missing.
  void missing(std::vector<int>& ranks) const;
  /// Whether a non-empty message goes to communicator rank `peer`: then that carries the signature.
  bool sends_to(int peer) const;

 private:
  struct Instance {
    transport::SendRequest send;        // send
    transport::ReceiveRequest receive;  // recv, recv_reduce
    std::uint32_t waits_for = 0;
    std::uint32_t readers_left = 0;  // of a borrowed receive
    bool complete = false;
  };
  struct Place {
    std::byte* memory;
    std::size_t count;
    DType dtype;
  };
  std::size_t steps() const { return setup_.plan->plan.mine.steps.size(); }
  const plan::Step& step(std::size_t instance) const { return setup_.plan->plan.mine.steps[instance % steps()]; }
  layout::Interval whole(plan::Space space, plan::BlockRange blocks) const;
  layout::Interval elements(plan::Space space, plan::BlockRange blocks, std::size_t instance) const;
  DType dtype_of_role(plan::Role role) const;
  Place place(const plan::Operand& operand, plan::BlockRange blocks, std::size_t instance) const;
  std::byte* slot_memory(std::size_t slot, plan::BlockRange blocks, DType dtype, std::size_t instance) const;
  void begin(std::size_t instance, transport::Endpoint& endpoint) noexcept;
  void complete(std::size_t instance) noexcept;
  void run_ready(transport::Endpoint& endpoint) noexcept;
  void load_reduce(std::size_t instance, transport::Endpoint& endpoint) noexcept;
  void fold_arrival(std::size_t instance, transport::Endpoint& endpoint) noexcept;
  void copy(std::size_t instance) noexcept;
  void combine(const Place& destination, std::span<const kernels::ReduceSource> sources,
               std::span<const std::int16_t> program, bool finalize) const noexcept;

  Setup setup_{};
  std::span<std::byte> scratch_{};
  std::span<std::byte> instance_memory_{};
  std::span<Instance> instances_{};
  std::span<std::uint32_t> ready_{};  // a queue: every instance enters once
  std::size_t ready_begin_ = 0;
  std::size_t ready_end_ = 0;
  std::span<std::uint32_t> running_{};  // requests under way, in no order
  std::size_t running_count_ = 0;
  std::size_t left_ = 0;  // instances not complete
  std::vector<std::size_t> slot_offset_;
  std::vector<kernels::ReduceSource> sources_;
  int failed_peer_ = -1;
};

}  // namespace trireme::comm
