// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/optim/optimizer.hpp"
#include "trireme/parallel/synchronizer_factory.hpp"
#include "trireme/ps/client.hpp"
#include "trireme/ps/key_plan.hpp"

#include <memory>
#include <span>
#include <string>

namespace trireme::ps {

/// What DataParallelOptions::synchronizer is made of. When the last of its users goes, this worker leaves its servers in order.
struct SynchronizerOptions {
  /// Connected as this rank, of as many workers and leaves as DataParallel has. Who destroys a DataParallel in the midst of a step
  /// ends the client by that (Client::end()), whoever else holds it, and others learn that this worker is lost.
  std::shared_ptr<Client> client;
  std::shared_ptr<const KeyPlan> plan;  ///< the client's, of KeyPlan::tensors_of() the parameters
  std::string explanation{};            ///< why keys lie as they do, for explain(): MeasuredSplit::explanation, say
};

/// Servers that update values give them back while the next forward pass already runs.
struct UpdatingOptions {
  SynchronizerOptions servers{};
  /// apply() returns when values have been asked for; DataParallel::access() says when they are there: acquire(p), unit p being
  /// parameter p. The first layer comes first. Else apply() waits for all of them. Asynchronous workers then keep a copy of what they
  /// push.
  bool overlap_pull = false;
  /// The state servers begin with: what a checkpoint has been restored into. Read at construction; null: none.
  const Optimizer* state = nullptr;
};

/// Bulk-synchronous, servers only sum: a gradient is sent as soon as its last leaf is folded, its mean comes back in reduce(), and
/// every rank updates. The bits of all_reduce.
/// Shape:   the servers are bulk-synchronous, without a rule of their own.
/// Cost:    a rank sends each gradient once and gets each mean once; of row-sparse parameters it sends the rows that its leaves
///          touched. Weights and votes go by the communicator, 8 bytes and 4 per parameter.
/// Errors:  invalid_argument for a plan of other tensors; the client's.
std::shared_ptr<parallel::SynchronizerFactory> summing_synchronizer(SynchronizerOptions options);

/// Bulk-synchronous, servers sum and update: reduce() waits for the sums, apply() says by what to scale them, the norm being
/// that of the blocks that servers tell, and gets the new values. The bits of all_reduce.
///
/// The optimizer given to apply() tells its learning rate alone; its twins on the servers, of the same settings, have the state:
/// see fetch_state(). A step that is reduced and not applied changes nothing. Step::gradient() is refused: there are none here.
/// Shape:   the servers are bulk-synchronous with a rule. The first rank's values and state are theirs, until others are set.
///
/// With backup workers (ServerOptions::backup_workers) each worker is in a world of one, with samples of its own, or it would wait for all by the
/// communicator: a step's update is of the mean over those that servers did not have to wait for. What comes later is dropped, and
/// a worker that was late goes on behind the last update (Client::catch_up()). Other bits then, for other parts are late each time.
/// Errors:  as summing_synchronizer().
std::shared_ptr<parallel::SynchronizerFactory> updating_synchronizer(UpdatingOptions options);

/// Stale-synchronous or asynchronous: each worker trains by itself, in a world of one, with samples of its own: reduce() completes
/// the mean over its own leaves, apply() clips it by its own norm, pushes it as one update, and pulls what the servers' consistency
/// grants. Workers may come and go.
/// Shape:   a communicator of one rank. The first worker's values are the servers'; every worker starts from what they hold.
/// Order:   outside of the promise of equal bits, but for a single worker: that is sequential training.
/// Errors:  invalid_argument for more ranks than one; as summing_synchronizer().
std::shared_ptr<parallel::SynchronizerFactory> asynchronous_synchronizer(UpdatingOptions options);

/// Gives servers that have none yet the values of `parameters`, in the plan's order, and what `state` (none: nothing) has of each: what
/// the first step of a synchronizer does, for who makes no step. Where another was first, its values stay.
void initialise(Client& client, std::span<const Parameter> parameters, const Optimizer* state);
/// Brings the servers' optimizer state into `optimizer`, as if it had made their steps: for a checkpoint. Between steps.
void fetch_state(Client& client, const KeyPlan& plan, Optimizer& optimizer);
/// The servers' values into those of `parameters`, in the plan's order. Between steps.
void fetch_values(Client& client, std::span<const Parameter> parameters);

}  // namespace trireme::ps
