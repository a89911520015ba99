// SPDX-License-Identifier: Apache-2.0
#include "engines/mpi/session.hpp"

#include "engines/mpi/module.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace trireme::engines::mpi {
namespace {

constexpr std::uint64_t longest_broadcast = 1u << 20;

/// What a thread that MPI may keep for ever works on: it outlives whoever waits for it.
struct Creation {
  const trireme_mpi_table* calls;
  std::vector<int> members;
  int tag;
  bool everybody;
  std::vector<trireme_mpi_comm> made;
  int code = 0;
  std::mutex mutex;
  std::condition_variable ended;
  bool done = false;

  void run() {
    for (auto& comm : made) {
      if (code != 0) break;
      code = everybody ? calls->comm_all(&comm)
                       : calls->comm_of(members.data(), static_cast<int>(members.size()), tag, &comm);
    }
    const std::lock_guard lock(mutex);
    done = true;
    ended.notify_all();
  }
};

/// "Open MPI v4.1.4, package: …" and "MPICH Version:\t4.0.2\nMPICH …": the first clause, without tabs.
std::string first_clause(std::string text) {
  text = text.substr(0, text.find_first_of(",\n"));
  std::replace(text.begin(), text.end(), '\t', ' ');
  return text;
}

}  // namespace

std::shared_ptr<Session> Session::open(const std::string& module) {
  std::shared_ptr<Session> session(new Session(load_module(module)));
  const auto& calls = session->calls();
  trireme_mpi_state state = TRIREME_MPI_CLOSED;
  session->check(calls.state(&state), "MPI_Initialized");
  if (state == TRIREME_MPI_FINALIZED) {
    session->state_ = State::closed;
    fail(ErrorCode::unsupported,
         "MPI was finalized in this process and cannot be started again: keep the first World open as long as the "
         "process needs one");
  }
  int serialized = 0;
  if (state == TRIREME_MPI_CLOSED) {
    session->check(calls.init(&serialized), "MPI_Init_thread");
    session->started_here_ = true;
  } else {
    session->check(calls.query_thread(&serialized), "MPI_Query_thread");
  }
  if (serialized == 0) {
    fail(ErrorCode::unsupported,
         "this MPI may be called by one thread only: start it with MPI_THREAD_SERIALIZED or more, or use an MPI that "
         "has it");
  }
  session->check(calls.world(&session->rank_, &session->size_), "MPI_Comm_size");
  std::array<char, 256> text{};
  session->check(calls.describe_library(text.data(), static_cast<int>(text.size())), "MPI_Get_library_version");
  session->library_ = first_clause(text.data());
  return session;
}

void Session::check(int code, const char* what) const {
  if (code != 0) fail(ErrorCode::system, std::string(what) + " failed: " + words_of(code));
}

std::string Session::words_of(int code) const {
  std::array<char, 512> text{};
  calls_->error_text(code, text.data(), static_cast<int>(text.size()));
  return text.data();
}

std::vector<std::byte> Session::broadcast(std::span<const std::byte> bytes) {
  std::uint64_t size = bytes.size();
  check(calls_->bcast(&size, sizeof size, 0), "MPI_Bcast");
  if (size > longest_broadcast)
    fail(ErrorCode::corrupt, "rank 0 says it broadcasts " + std::to_string(size) + " bytes");
  std::vector<std::byte> data(size);
  if (rank_ == 0) std::copy(bytes.begin(), bytes.end(), data.begin());
  check(calls_->bcast(data.data(), static_cast<int>(size), 0), "MPI_Bcast");
  return data;
}

std::vector<trireme_mpi_comm> Session::communicators(const std::vector<int>& members, std::uint32_t id,
                                                     std::size_t number, const std::function<bool()>& aborted,
                                                     Deadline until) {
  if (!usable()) fail(ErrorCode::closed, "MPI has been left: no communicator can be made any more");
  const auto creation = std::make_shared<Creation>();
  creation->calls = calls_;
  creation->members = members;
  creation->tag = static_cast<int>(id % 32768);  // the least MPI promises to take
  creation->everybody = id == 0;
  creation->made.resize(number);
  // MPI offers no communicator of a part of the ranks without waiting for them; on a thread the wait has an end.
  std::thread thread([creation] { creation->run(); });
  {
    std::unique_lock lock(creation->mutex);
    while (!creation->done) {
      creation->ended.wait_for(lock, std::chrono::milliseconds(20));
      if (creation->done || (!aborted() && !until.passed())) continue;
      lock.unlock();
      thread.detach();
      abandon();
      if (aborted()) fail(ErrorCode::peer_lost, "the world failed while its ranks made an MPI communicator");
      fail(ErrorCode::timeout, "not all ranks came to make an MPI communicator");
    }
  }
  thread.join();
  check(creation->code, "making an MPI communicator");
  return creation->made;
}

void Session::free(trireme_mpi_comm communicator) noexcept {
  if (usable()) calls_->comm_free(communicator);
}

void Session::abandon() noexcept {
  if (state_ == State::open) state_ = State::abandoned;
}

void Session::close() noexcept {
  if (!usable()) return;
  state_ = State::closed;
  if (started_here_) calls_->finalize();
}

}  // namespace trireme::engines::mpi
