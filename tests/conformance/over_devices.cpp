// SPDX-License-Identifier: Apache-2.0
// The suites over device memory: ranks are threads, each with a device; a place is who serves its memory. Emulated devices
// everywhere, and the machine's GPUs where there are some.
#include "conformance/case_world.hpp"
#include "engines/device/engine.hpp"
#include "support/device_under_test.hpp"
#include "trireme/net/job_key.hpp"
#include "unit/engines_nccl/nccl_world.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace trireme::testing {
namespace {

constexpr int most_ranks = 4;  // ranks of emulated devices are threads of threads

/// Small, so that what is not small takes rounds, and both ways to reduce.
constexpr engines::device::PeerOptions small_slots{.slot_bytes = 65536, .one_shot_bytes = 8192, .blocks = 2};

/// Who serves device memory: "peer", "staged" or "nccl"; in a case that names no place, whoever the library takes.
RunRanksOptions served_by(const std::string& place, int ranks) {
  RunRanksOptions options;
  const bool on_gpus = place.starts_with("gpu ");
  const std::string engine = on_gpus ? place.substr(4) : place;
  if (engine == "nccl") {
    static FakeNccl& fake = fresh_nccl();
    static_cast<void>(fake);
    return over_nccl(ranks);
  }
  // Two devices, which more ranks share.
  options.devices.runtime =
      on_gpus ? device::cuda_runtime()
              : device::emulated_runtime({.devices = std::min(ranks, 2), .seed = static_cast<std::uint64_t>(ranks)});
  options.devices.make_engine = engines::device::factory({.peer = engine != "staged", .peers = small_slots});
  return options;
}

/// Ranks with open worlds, for one case after another: opening them takes longer than most cases.
class StandingRanks {
 public:
  using Body = std::function<std::vector<std::byte>(CaseWorld&)>;

  StandingRanks(int ranks, const RunRanksOptions& options)
      : ranks_(ranks), thread_([this, options] { stand(options); }) {}
  ~StandingRanks() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  StandingRanks(const StandingRanks&) = delete;

  /// Errors: rethrows what the lowest failing rank threw; then they are good for nothing more.
  std::vector<std::vector<std::byte>> run(const Body& body) {
    std::unique_lock lock(mutex_);
    body_ = &body;
    found_.assign(static_cast<std::size_t>(ranks_), {});
    thrown_.assign(static_cast<std::size_t>(ranks_), nullptr);
    ended_ = 0;
    ++case_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return ended_ == ranks_ || over_; });
    for (const std::exception_ptr& each : thrown_) {
      if (each) std::rethrow_exception(each);
    }
    return found_;
  }

 private:
  void stand(const RunRanksOptions& options) {
    const auto thrown = run_ranks_collecting(
        ranks_, [this](World& world) { serve(world); }, options);
    const std::lock_guard lock(mutex_);
    over_ = true;
    if (ended_ != ranks_) thrown_ = thrown;  // some could not even open a world
    changed_.notify_all();
  }

  void serve(World& world) {
    CaseWorld seen(DeviceCommunicator(world.communicator()), world.memory());
    const auto rank = static_cast<std::size_t>(world.rank());
    for (int number = 1;; ++number) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return case_ >= number || ending_; });
      if (ending_) return;
      const Body& body = *body_;
      lock.unlock();
      std::vector<std::byte> found;
      std::exception_ptr thrown;
      try {
        found = body(seen);
      } catch (...) {
        thrown = std::current_exception();
      }
      lock.lock();
      found_[rank] = std::move(found);
      thrown_[rank] = thrown;
      ++ended_;
      lock.unlock();
      changed_.notify_all();
      if (thrown) std::rethrow_exception(thrown);  // the world fails, and the others learn of it
    }
  }

  const int ranks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  const Body* body_ = nullptr;
  std::vector<std::vector<std::byte>> found_;
  std::vector<std::exception_ptr> thrown_;
  int case_ = 0;
  int ended_ = 0;
  bool ending_ = false, over_ = false;
  std::thread thread_;
};

}  // namespace

std::vector<std::string> places(std::vector<std::string>) {
  std::vector<std::string> all;
  if (!gpus_alone()) all = {"staged", "peer", "nccl"};
  if (device::why_no_cuda().empty()) all.insert(all.end(), {"gpu staged", "gpu peer"});
  return all;
}

std::vector<int> rank_counts(std::vector<int> wanted) {
  std::erase_if(wanted, [](int ranks) { return ranks > most_ranks; });
  return wanted;
}

bool cases_choose_options() { return false; }

bool among_threads(const std::string&) { return false; }

std::vector<std::vector<std::byte>> run_case_packed(int ranks, const RunRanksOptions& options,
                                                    const std::function<std::vector<std::byte>(CaseWorld&)>& body) {
  // OpenSSL's cleanup at exit is to come behind the end of the standing ranks, which have state of it.
  static const net::JobKey first = net::JobKey::random();
  static_cast<void>(first);
  static std::map<std::pair<std::string, int>, StandingRanks> standing;
  const std::pair key(options.transport, ranks);
  auto found = standing.find(key);
  if (found == standing.end()) found = standing.try_emplace(key, ranks, served_by(options.transport, ranks)).first;
  try {
    return found->second.run(body);
  } catch (...) {
    standing.erase(found);
    throw;
  }
}

}  // namespace trireme::testing
