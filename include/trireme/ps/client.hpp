// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/base/log.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/ps/consistency.hpp"
#include "trireme/ps/key_plan.hpp"
#include "trireme/ps/server.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trireme::ps {

struct ClientOptions {
  std::uint32_t rank = 0;
  std::uint32_t workers = 1;
  std::uint32_t leaves = 1;
  std::shared_ptr<const KeyPlan> plan;
  Consistency consistency{};
  std::string settings{};
  net::JobKey key;
  std::string job_id;
  std::uint64_t epoch = 0;
  std::string congestion{};  ///< of TCP, as net::settle_congestion() takes it
  bool tls = false;          ///< as of the servers: see ServerOptions
  /// Where the servers are now, by server number; asked at the start and after each loss (a restarted server has another card).
  std::function<std::vector<ServerCard>()> servers;
  std::chrono::milliseconds timeout{600'000};  ///< of each wait without progress
  std::chrono::milliseconds takeover{1'000};   ///< how long a lost server is dialled again before its replica is asked
  Log log{};
};

/// A step behind all others. A stale-synchronous worker that pushes nothing of any tensor in it says that it pushes no more, and nobody waits for its
/// clock: so it may stay when its steps are done.
inline constexpr std::uint64_t no_more_steps = std::uint64_t{1} << 62;

/// A worker's connections to all servers. Calls return at once unless they say wait; what was asked moves on one background
/// thread: by priority, first layer first, within the servers' windows, retried on a server's replica when it is lost, each push
/// applied once.
/// Memory given to a call stays the caller's and must stay as it is until the wait that says so.
/// Threads: one caller at a time.  Errors: peer_lost naming the server and its host when it is gone and nobody replaces it; timeout;
///          closed; what a server answered.
class Client {
 public:
  /// Connects to every server. Errors: as above; mismatch when workers' plans, consistency or settings differ.
  static std::unique_ptr<Client> connect(ClientOptions options, Deadline deadline);
  virtual ~Client() = default;

  /// Sets a tensor nobody has set yet. `state`: name and elements of each state tensor, from a checkpoint; `steps` of it.
  /// Waits until all servers have it.
  struct InitialTensor {
    ConstTensorView values{};
    std::uint64_t steps = 0;
    std::vector<std::pair<std::string, ConstTensorView>> state{};
  };
  virtual void initialise(std::span<const InitialTensor> tensors) = 0;

  /// What a push says beside the gradient.
  struct PushOptions {
    std::uint64_t step = 0;
    double weight = 1.0;
    double scale = 1.0;
    double clip_value = 0.0;
    double learning_rate = 0.0;
  };
  /// Begins to send elements `range` of a tensor's gradient, in the accumulator's dtype, as soon as they exist: any ranges of a step
  /// that together are the whole; a key goes when it is complete. `elements` are those of the range.
  virtual void push(std::size_t tensor, layout::Interval range, ConstTensorView elements,
                    const PushOptions& options) = 0;
  /// Rows of a row-sparse tensor; `elements` are those rows. Once per step and tensor, perhaps without rows.
  virtual void push_rows(std::size_t tensor, std::span<const std::uint32_t> rows, ConstTensorView elements,
                         const PushOptions& options) = 0;
  /// This worker has no gradient of the tensor in this step.
  virtual void push_nothing(std::size_t tensor, const PushOptions& options) = 0;

  /// Bulk-synchronous: waits for the sum of the tensor in `step`; as a summation service its mean is then in `mean` (the elements of
  /// `range`; may be the memory pushed).
  struct Sum {
    double total_weight = 0.0;
    bool used = false;
    std::vector<double>
        block_sums{};  ///< with the optimizer on servers: squares of the mean, per reduction block of the tensor
  };
  virtual Sum wait_sum(std::size_t tensor, std::uint64_t step, TensorView mean) = 0;
  /// Says beforehand, best before the push, where that wait wants the mean: it is then read straight into that memory, which nobody
  /// may touch until then.
  virtual void expect_sum(std::size_t /*tensor*/, std::uint64_t /*step*/, TensorView /*mean*/) {}
  /// Bulk-synchronous with the optimizer on servers: applies the sum of `step` to every tensor.
  virtual void update(const PushOptions& options, bool skip) = 0;

  /// Begins to fetch a tensor's values as of clock `step` into `values`, which nobody may touch until wait_values().
  virtual void pull(std::size_t tensor, std::uint64_t step, TensorView values) = 0;
  virtual void pull_rows(std::size_t tensor, std::uint64_t step, std::span<const std::uint32_t> rows,
                         TensorView values) = 0;
  /// Waits until they are there. Returns the lowest version among its keys.
  virtual std::uint64_t wait_values(std::size_t tensor) = 0;
  /// Stale-synchronous and asynchronous: the latest clock that came with values so far. Of the first values it is where this worker
  /// begins: steps before it count as done, so it numbers its own from there on. 0: none have come.
  virtual std::uint64_t clock() const = 0;
  /// Bulk-synchronous, when all values asked for are there: the step whose update is in all of them, and `steps` at least. With backup workers
  /// that may be later than the last one this worker has pushed: it goes on behind it, and is told nothing of the sums up to there.
  virtual std::uint64_t catch_up(std::uint64_t steps) = 0;
  /// Waits until every push so far is acknowledged, and nothing is sent from its memory any more.
  virtual void wait_acknowledged() = 0;

  /// Values and optimizer state of a tensor, for a checkpoint. Waits.
  struct ServerState {
    std::uint64_t steps = 0;
    std::vector<std::byte> values{};
    std::vector<std::pair<std::string, std::vector<std::byte>>> state{};
  };
  virtual ServerState read_state(std::size_t tensor) = 0;

  /// Ends in order: nobody waits for this worker any more.
  virtual void leave() = 0;
  /// Ends at once, without a goodbye, so that others learn that this worker is lost: behind it nothing is sent from, or read into,
  /// memory that was given to calls. Later calls fail.  Errors: closed, of those.
  virtual void end() noexcept = 0;

  struct Statistics {
    std::uint64_t pushes = 0, pulls = 0, bytes_sent = 0, bytes_received = 0, retries = 0, takeovers = 0;
    double last_takeover_seconds = 0.0;  ///< from the loss of a server until its keys were served again
    std::uint64_t skipped_steps = 0;     ///< by catch_up()
  };
  virtual Statistics statistics() const = 0;
};

}  // namespace trireme::ps
