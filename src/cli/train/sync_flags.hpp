// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/arguments.hpp"
#include "trireme/ps/consistency.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace trireme::cli {

/// How the gradients of several ranks come together.
struct SyncChoice {
  bool on_servers = false;  ///< of parameters; else all_reduce among the ranks
  ps::Consistency consistency{};
  std::uint32_t servers = 0;      ///< dedicated ones; 0: each rank is one beside its work
  bool server_optimizer = false;  ///< servers update values; else they only sum
  std::uint32_t backup_workers = 0;
  bool staleness_aware = false;
  bool splits_optimally = false;  ///< workers hold keys beside dedicated servers, by what links carry
  bool replicas = false;          ///< another server holds what each one does
  bool falls_back = false;        ///< all_reduce, until a link between ranks is too slow; then servers
  /// Workers share no communicator, and do without those that are lost.
  bool is_independent() const { return on_servers && (!is_bulk_synchronous() || backup_workers != 0); }
  /// A step is one update, of the mean over workers.
  bool is_bulk_synchronous() const { return consistency.kind == ps::ConsistencyKind::bulk_synchronous; }
};

/// The flags of SyncChoice.
class SyncFlags {
 public:
  /// Describes them; must live until `flags` have been parsed.
  explicit SyncFlags(Arguments& flags);
  /// `announced`: dedicated servers that whoever started this process speaks of (TRIREME_SERVERS).
  /// Errors: invalid_argument naming the flag.
  SyncChoice checked(const Arguments& flags, int announced) const;
  /// For who does not care: what --servers says.
  int typed_servers() const { return servers_; }

 private:
  std::string sync_ = "all_reduce", consistency_ = "bsp", server_optimizer_ = "off", replicas_ = "on",
              fallback_ = "none", server_split_ = "servers";
  int servers_ = 0, backup_workers_ = 0;
  bool staleness_aware_ = false;
};

}  // namespace trireme::cli
