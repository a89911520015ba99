// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/parallel/mesh.hpp"

#include <optional>

namespace trireme::cli {

/// How the ranks of a world have the model: each all of it, or with --mesh several together, once for each rank of the data
/// axis. A batch is shared out among the replicas; all ranks of one do what only they together can.
/// Threads: one at a time.
class Replicas {
 public:
  /// Collective.
  /// Errors: invalid_argument naming --mesh, alike on all ranks and before any is met, when the axes do not multiply to the
  ///         ranks.
  Replicas(Communicator world, const std::optional<ModelMesh>& choice);

  /// This rank and those that have the same of every other replica.
  Communicator& across() { return across_; }
  const Communicator& across() const { return across_; }
  int count() const { return across_.size(); }
  /// Null where every rank has the whole model.
  const Mesh* mesh() const { return mesh_ ? &*mesh_ : nullptr; }
  /// Of the ranks of this replica the one that speaks for it, in checkpoints say.
  bool speaks() const { return !within_ || within_->rank() == 0; }

  /// What a rank wants of all.
  struct Wishes {
    bool stop = false;
    bool checkpoint = false;
  };
  /// What any rank of this replica wishes. Collective over it.  Cost: without a mesh nothing is sent.
  Wishes together(Wishes own);

 private:
  std::optional<Mesh> mesh_;
  std::optional<Communicator> within_;  ///< the ranks of this replica, where there are several
  Communicator across_;
};

}  // namespace trireme::cli
