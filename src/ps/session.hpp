// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/bucketed_synchronizer.hpp"
#include "trireme/ps/synchronizer.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace trireme::ps {

/// A worker's dealings with its servers, which outlast each synchronizer: which step it has pushed last. It leaves in order, unless
/// an exception ends it: then the others are to hear that it is lost.
class Session {
 public:
  explicit Session(SynchronizerOptions servers);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /// Errors: closed after give_up().
  Client& client() const;
  const KeyPlan& plan() const { return *servers_.plan; }
  const std::string& explanation() const { return servers_.explanation; }
  /// A step is left in its midst: nothing of it may be sent from, or read into, memory that goes. Ends the client, whoever else holds
  /// it.
  void give_up() noexcept {
    if (servers_.client) servers_.client->end();
    servers_.client.reset();
  }
  std::uint64_t steps = 0;
  bool undecided = false;    ///< servers that update have not been told what becomes of the last step's sum
  bool initialised = false;  ///< they have been given values

 private:
  SynchronizerOptions servers_;
  int exceptions_;  ///< in flight when it began
};

/// Errors: invalid_argument when the plan is not of these parameters, naming the first that differs.
void check_session(const Session& session, const parallel::SynchronizerSetup& setup);
/// "gradients go to 2 parameter servers, where …": which hold what, and why.
std::string explain_servers(const Session& session, const std::string& what);
/// Values as they are, and what `state` has of each; null: none. Once.
void initialise_servers(Session& session, std::span<const Parameter> parameters, const Optimizer* state);

}  // namespace trireme::ps
