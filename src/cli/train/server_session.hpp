// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/job_signals.hpp"
#include "cli/train/options.hpp"
#include "cli/train/server_split.hpp"
#include "trireme/base/bytes.hpp"
#include "trireme/base/error.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/optim/optimizer.hpp"
#include "trireme/parallel/synchronizer_factory.hpp"
#include "trireme/ps/client.hpp"
#include "trireme/ps/server.hpp"
#include "trireme/world/server_directory.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trireme::cli {

/// Which worker of a job with parameter servers this is. Where workers are independent each has a world of one, and only worker 0
/// speaks.
struct WorkerPlace {
  std::uint32_t worker = 0;
  std::uint32_t workers = 1;
  bool is_first() const { return worker == 0; }
};

/// A worker's part in a job with parameter servers: its own server, where there are no dedicated ones, and its connections to all.
/// Threads: one at a time.
class ServerSession {
 public:
  /// `options` must outlive it. `leaves`: of all workers. `serving`: the workers that are servers beside their work, where there are
  /// no dedicated ones, by server number; empty: all.
  ServerSession(const TrainOptions& options, std::shared_ptr<ServerDirectory> directory, WorkerPlace place, int leaves,
                std::vector<std::uint32_t> serving = {});
  ServerSession(const ServerSession&) = delete;
  ~ServerSession();

  /// Where workers hold keys beside dedicated servers: measures links, and says on rank 0 what comes of it. Collective over `workers`; before
  /// serve().
  void split(Communicator workers, Bytes model);
  /// Deals keys out and starts the own server, if there is to be one.
  void serve(const std::vector<Parameter>& parameters, const std::vector<std::string>& row_sparse,
             const Optimizer& optimizer);
  /// The same unless that is done, meets all servers, and says how gradients come together from then on. `parameters` and `optimizer`, whose state the
  /// servers begin with, as they are when the first step begins; both outlive this.
  /// Errors: timeout naming servers that are missing; those of ps::Client::connect.
  std::shared_ptr<parallel::SynchronizerFactory> connect(const std::vector<Parameter>& parameters,
                                                         const std::vector<std::string>& row_sparse,
                                                         const Optimizer& optimizer);

  const WorkerPlace& place() const { return place_; }
  /// Values and the optimizer's state are the servers'.
  bool holds_state() const { return options_.sync.server_optimizer; }
  bool is_independent() const { return options_.sync.is_independent(); }
  bool is_bulk_synchronous() const { return options_.sync.is_bulk_synchronous(); }
  /// "bsp", "ssp:3", "async".
  std::string consistency() const { return options_.sync.consistency.to_string(); }
  /// Where keys lie, a line for each server.
  std::string explain() const;

  /// For a worker that has no step to make: servers get their first values as by the first step of all, or whoever asks for them would wait.
  void begin_without_steps(const std::vector<Parameter>& parameters, const Optimizer& optimizer);
  /// Brings what servers hold into `parameters` and `optimizer`, for a checkpoint. Between steps; not before the first, or
  /// begin_without_steps(). Nothing behind
  /// ends_the_job().
  void fetch(const std::vector<Parameter>& parameters, Optimizer& optimizer);
  /// Steps that the others have made without this worker since it was asked last, because it was late: behind them it goes on.
  std::uint64_t take_skipped();
  /// Of independent ones: worker 0 stops before the end, and the others shall. They ask now and then.
  void stop_others();
  bool must_stop();
  /// Of backup workers: too many that stop by themselves would end the first one's training before it has saved.
  bool stops_behind_the_first() const { return is_independent() && is_bulk_synchronous() && !place_.is_first(); }
  /// Whether this comes of others having stopped, as this worker shall, too. It has then left.
  bool ends_the_job(const Error& failure);
  /// The last step is done. Worker 0 of independent ones then waits for the others, or a signal, and has the values that all have
  /// left in `parameters`.
  void finish(const std::vector<Parameter>& parameters, const JobSignals& signals);
  /// In order: no server waits for this worker any more. Where servers are the workers' own, independent ones stay until nobody needs
  /// theirs, or a signal comes.
  void leave(const JobSignals& signals);
  /// The same without waiting for anybody.
  void leave_now();

 private:
  std::uint32_t servers() const;
  void await_ended(std::uint32_t workers, const JobSignals& signals, const char* why) const;
  void tell_takeovers() const;
  void tell_skipped() const;
  void hold_up_nobody();

  const TrainOptions& options_;
  std::shared_ptr<ServerDirectory> directory_;
  WorkerPlace place_;
  std::uint32_t leaves_;
  std::vector<std::uint32_t> serving_;  ///< workers that hold keys
  ServerSplit split_{};                 ///< where they do beside dedicated servers
  std::shared_ptr<const ps::KeyPlan> plan_;
  std::unique_ptr<ps::Server> server_;
  std::shared_ptr<ps::Client> client_;
  std::chrono::steady_clock::time_point asked_{};  ///< whether the others have stopped
  std::uint64_t skipped_ = 0;                      ///< steps, as told
  bool holds_nobody_up_ = false;                   ///< servers know that no other step comes
  bool was_left_ = false;                          ///< the client has failed, and that was to be
  std::shared_ptr<std::atomic<bool>> has_left_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace trireme::cli
