// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/mpi/module_table.h"
#include "trireme/base/deadline.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trireme::engines::mpi {

/// MPI in this process, from MPI_Init to MPI_Finalize. Shared by the world and its engines.
///
/// A world that fails leaves operations in MPI's hands, which cannot be taken back. From then on the session is
/// `abandoned`: MPI is never called again, not even to finalize, and what it may still write to is kept for ever.
/// Threads: one at a time (MPI_THREAD_SERIALIZED), as engines are called.
class Session {
 public:
  /// Starts MPI, unless the program has; waits for the other ranks as MPI does: a rank that dies meanwhile is the
  /// launcher's to notice.
  /// Errors: unsupported without a module, for an MPI whose calls are bound to one thread, or that was finalized; system.
  static std::shared_ptr<Session> open(const std::string& module);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  /// "Open MPI v4.1.4": the first words of what the library says of itself.
  const std::string& library() const { return library_; }
  const trireme_mpi_table& calls() const { return *calls_; }

  /// The bytes of rank 0, on every rank. Before there is anything to be named by: waits as MPI does.
  std::vector<std::byte> broadcast(std::span<const std::byte> bytes);

  /// New communicators of `members`, world ranks in order. Collective among them; `id` tells concurrent calls apart.
  /// Waits at most until `until`, or until `aborted` says so; then the session is abandoned.
  /// Errors: timeout, peer_lost, system.
  std::vector<trireme_mpi_comm> communicators(const std::vector<int>& members, std::uint32_t id, std::size_t number,
                                              const std::function<bool()>& aborted, Deadline until);
  void free(trireme_mpi_comm communicator) noexcept;

  /// Whether MPI may be called.
  bool usable() const { return state_ == State::open; }
  void abandon() noexcept;
  /// Finalizes, if this session started MPI and was not abandoned: waits for every rank to do so. Idempotent. Never by
  /// itself: a rank that leaves by an exception must not wait for those that wait for it.
  void close() noexcept;

  /// What an error code of MPI says.
  std::string words_of(int code) const;

 private:
  enum class State { open, abandoned, closed };
  explicit Session(const trireme_mpi_table& calls) : calls_(&calls) {}
  void check(int code, const char* what) const;

  const trireme_mpi_table* calls_;
  State state_ = State::open;
  bool started_here_ = false;
  int rank_ = 0;
  int size_ = 1;
  std::string library_;
};

}  // namespace trireme::engines::mpi
