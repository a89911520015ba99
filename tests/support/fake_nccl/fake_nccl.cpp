// SPDX-License-Identifier: Apache-2.0
// NCCL's functions over the memory of this process, for ranks that are threads of it and emulated devices: asynchronous
// and in the order of the streams, as the real ones are, and failing when told to. FAKE_NCCL_OLD lacks what NCCL 2.18
// lacks, FAKE_NCCL_MIDDLE what NCCL 2.26 lacks; FAKE_NCCL_BROKEN lacks something indispensable.
#include "device/emulated/command_queue.hpp"
#include "support/fake_nccl/fake_clique.hpp"
#include "support/fake_nccl/fake_nccl_control.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace trireme::testing;
using api::Result;
using Kind = FakeCall::Kind;

FakeNccl& control() {
  static FakeNccl fake;
  return fake;
}

/// A split that the parent's ranks come to one after the other.
struct FakeSplit {
  std::vector<int> colors, keys;
  std::vector<std::shared_ptr<FakeClique>> made;  // per rank, when all have come
  int arrived = 0;
};

struct FakeComm {
  std::shared_ptr<FakeClique> clique;
  int rank = 0;
  int late = 0;
  std::mutex mutex;
  Result state = api::success;
  int running = 0;
  int windows = 0, registered = 0;
  std::atomic<int> deregistering{0};              // calls under way
  std::vector<std::vector<FakeCall>> held;        // groups that are not given to their streams yet
  std::vector<double> scalars;                    // of premultiplied sums
  std::set<int> connected;                        // peers, and algorithms as negative numbers
  std::map<const std::byte*, std::size_t> known;  // memory
  std::shared_ptr<FakeSplit> split;
  api::Comm* split_result = nullptr;
  api::Comm* place = nullptr;  // where its own handle goes, once more, when its making ends
  std::string last_error;
};
using Shared = std::shared_ptr<FakeComm>;

std::mutex meeting_mutex;
struct Meeting {
  std::string name;
  std::shared_ptr<FakeClique> clique;
  int missing;
};
std::vector<Meeting>& meetings() {
  static std::vector<Meeting> list;
  return list;
}
std::vector<std::pair<FakeClique*, std::shared_ptr<FakeSplit>>>& splits() {
  static std::vector<std::pair<FakeClique*, std::shared_ptr<FakeSplit>>> list;
  return list;
}

Shared& of(api::Comm comm) { return *reinterpret_cast<Shared*>(comm); }

/// The clique of that name; who comes last takes it out.
std::shared_ptr<FakeClique> meet(const std::string& wanted, int ranks) {
  const std::lock_guard lock(meeting_mutex);
  for (auto& meeting : meetings()) {
    if (meeting.name != wanted) continue;
    const auto clique = meeting.clique;
    if (--meeting.missing == 0) std::erase_if(meetings(), [&](const Meeting& each) { return each.clique == clique; });
    return clique;
  }
  auto clique = std::make_shared<FakeClique>(ranks);
  if (ranks > 1) meetings().push_back({wanted, clique, ranks - 1});
  return clique;
}

api::Comm make_comm(std::shared_ptr<FakeClique> clique, int rank) {
  auto comm = std::make_shared<FakeComm>();
  comm->clique = std::move(clique);
  comm->rank = rank;
  comm->late = control().late;
  comm->clique->join();
  ++control().communicators;
  return reinterpret_cast<api::Comm>(new Shared(std::move(comm)));
}

/// As a thread of the real one does, when the making has ended: of whatever is there by then.
void write_handle(api::Comm* place, api::Comm comm) { __atomic_store_n(place, comm, __ATOMIC_RELEASE); }

/// A making that is under way ends with the communicator, and its handles are written all the same.
void end_makings(api::Comm handle) {
  const Shared comm = of(handle);
  const std::lock_guard lock(comm->mutex);
  if (comm->place != nullptr) write_handle(std::exchange(comm->place, nullptr), handle);
  if (comm->split == nullptr) return;
  const std::lock_guard meeting(meeting_mutex);
  std::erase_if(splits(), [&](const auto& each) { return each.second == comm->split; });
  comm->split = nullptr;
  write_handle(comm->split_result, make_comm(std::make_shared<FakeClique>(1), 0));
}

void delete_comm(api::Comm comm) {
  if (of(comm)->deregistering != 0) ++control().misused;
  control().windows -= of(comm)->windows;
  control().registered -= of(comm)->registered;
  control().operations -= static_cast<int>(of(comm)->scalars.size());
  delete &of(comm);
  --control().communicators;
}

/// Under the communicator's lock.
void give_held(const Shared& comm) {
  for (auto& calls : comm->held) {
    auto* queue = static_cast<trireme::device::CommandQueue*>(calls.front().stream);
    ++comm->running;
    queue->give([comm, calls = std::move(calls)] {
      const bool fits = comm->clique->run(comm->rank, calls);
      const std::lock_guard lock(comm->mutex);
      --comm->running;
      if (!fits) comm->state = api::invalid_usage;
    });
  }
  comm->held.clear();
}

bool split_done(FakeComm& comm) {
  if (comm.split == nullptr) return true;
  if (control().splits_hang) return false;
  const std::lock_guard lock(meeting_mutex);
  FakeSplit& split = *comm.split;
  const auto rank = static_cast<std::size_t>(comm.rank);
  if (split.arrived != comm.clique->ranks()) return false;
  if (split.made.empty()) {
    split.made.resize(split.colors.size());
    for (std::size_t r = 0; r < split.colors.size(); ++r) {
      if (split.made[r] != nullptr || split.colors[r] < 0) continue;
      auto clique = std::make_shared<FakeClique>(
          static_cast<int>(std::count(split.colors.begin(), split.colors.end(), split.colors[r])));
      for (std::size_t o = 0; o < split.colors.size(); ++o) {
        if (split.colors[o] == split.colors[r]) split.made[o] = clique;
      }
    }
    std::erase_if(splits(), [&](const auto& each) { return each.second == comm.split; });
  }
  if (split.made[rank] != nullptr) {
    int own = 0;
    for (std::size_t r = 0; r < split.colors.size(); ++r) {
      const bool before = split.keys[r] < split.keys[rank] || (split.keys[r] == split.keys[rank] && r < rank);
      own += split.colors[r] == split.colors[rank] && before ? 1 : 0;
    }
    write_handle(comm.split_result, make_comm(split.made[rank], own));
  }
  comm.split = nullptr;
  return true;
}

/// Under the communicator's lock.
Result state_of(const Shared& comm, bool ask) {
  if (comm->rank == control().async_rank && control().async_result != 0 && comm->running > 0) {
    comm->last_error = "told to say so";
    return static_cast<Result>(control().async_result.load());
  }
  if (comm->state != api::success) return comm->state;
  if (!comm->clique->complete()) return api::in_progress;
  if (comm->late > 0 && ask) --comm->late;
  if (comm->late > 0) return api::in_progress;
  if (ask && comm->place != nullptr) {
    write_handle(comm->place, *comm->place);
    comm->place = nullptr;
  }
  give_held(comm);
  return split_done(*comm) ? api::success : api::in_progress;
}

/// What a thread has opened and put into it. Not thread-local: the thread sanitizer takes the end of a thread in a library that was
/// loaded at run time for a race.
struct Grouping {
  int depth = 0;
  std::vector<std::pair<Shared, FakeCall>> calls;
};

Grouping& grouping() {
  static std::mutex mutex;
  static std::map<std::thread::id, Grouping> of_threads;
  const std::lock_guard lock(mutex);
  return of_threads[std::this_thread::get_id()];
}

Result give_group() {
  auto& grouped = grouping().calls;
  Result result = api::success;
  while (!grouped.empty()) {
    const Shared comm = grouped.front().first;
    std::vector<FakeCall> calls;
    for (auto& [of_comm, call] : grouped) {
      if (of_comm == comm) calls.push_back(call);
    }
    std::erase_if(grouped, [&](const auto& each) { return each.first == comm; });
    ++control().groups;
    int largest = control().largest_group;
    while (largest < static_cast<int>(calls.size()) &&
           !control().largest_group.compare_exchange_weak(largest, static_cast<int>(calls.size()))) {
    }
    const std::lock_guard lock(comm->mutex);
    comm->held.push_back(std::move(calls));
    comm->late = control().late;
    if (comm->late == 0) give_held(comm);
    if (comm->late != 0) result = api::in_progress;
  }
  return result;
}

/// What the real one sets up when it is first needed: pairs, rings, trees. Under the communicator's lock.
void connect(FakeComm& comm, const FakeCall& call) {
  const auto need = [&](int what) { control().connections += comm.connected.insert(what).second ? 1 : 0; };
  switch (call.kind) {
    case Kind::send:
    case Kind::recv: need(call.peer); break;
    case Kind::all_to_all:
    case Kind::gather:
    case Kind::scatter:
      for (int r = 0; r < comm.clique->ranks(); ++r) {
        if (r != comm.rank) need(r);
      }
      break;
    default: need(-1 - static_cast<int>(call.kind)); break;
  }
}

/// Under the communicator's lock.
bool knows(const FakeComm& comm, const void* memory) {
  const auto* place = static_cast<const std::byte*>(memory);
  const auto next = comm.known.upper_bound(place);
  return next != comm.known.begin() && place < std::prev(next)->first + std::prev(next)->second;
}

[[maybe_unused]] void note_known(api::Comm handle, const void* memory, std::size_t bytes) {
  const std::lock_guard lock(of(handle)->mutex);
  of(handle)->known[static_cast<const std::byte*>(memory)] = bytes;
  ++control().registrations;
}
/// As the real one may, it waits for the device; nothing else may be called for the communicator meanwhile.
[[maybe_unused]] void note_forgotten(api::Comm handle, const void* memory) {
  const Shared comm = of(handle);
  ++comm->deregistering;
  ++control().deregistering;
  while (control().deregister_blocks) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  {
    const std::lock_guard lock(comm->mutex);
    comm->known.erase(static_cast<const std::byte*>(memory));
  }
  ++control().deregistrations;
  --control().deregistering;
  --comm->deregistering;
}

Result take(api::Comm handle, FakeCall call) {
  const Shared comm = of(handle);
  const int number = control().calls[static_cast<std::size_t>(comm->rank)]++;
  call.hangs = comm->rank == control().hang_rank && number == control().hang_call;
  if (comm->rank == control().error_rank && number == control().error_call) {
    comm->last_error = "told to fail";
    return static_cast<Result>(control().error_result.load());
  }
  {
    const std::lock_guard lock(comm->mutex);
    const Result state = state_of(comm, false);
    if (state == api::in_progress || comm->deregistering != 0) {
      ++control().misused;
      return api::invalid_usage;
    }
    if (state != api::success) return state;
    connect(*comm, call);
    if (knows(*comm, call.input != nullptr ? call.input : call.output)) ++control().known;
    if (call.op >= 5) call.scalar = comm->scalars.at(static_cast<std::size_t>(call.op - 5));
  }
  Grouping& own = grouping();
  own.calls.emplace_back(comm, call);
  return own.depth == 0 ? give_group() : api::success;
}

}  // namespace

#define FAKE extern "C" __attribute__((visibility("default")))

FAKE FakeNccl* fake_nccl_control();
FAKE Result ncclGetVersion(int* version);
FAKE Result ncclGetUniqueId(api::UniqueId* id);
FAKE const char* ncclGetErrorString(Result result);
FAKE Result ncclCommInitRankConfig(api::Comm* comm, int ranks, api::UniqueId id, int rank, api::Config* config);
FAKE Result ncclCommSplit(api::Comm comm, int color, int key, api::Comm* made, api::Config* config);
FAKE Result ncclCommFinalize(api::Comm comm);
FAKE Result ncclCommDestroy(api::Comm comm);
FAKE Result ncclCommAbort(api::Comm comm);
FAKE Result ncclCommGetAsyncError(api::Comm comm, Result* result);
FAKE Result ncclGroupStart();
FAKE Result ncclGroupEnd();
FAKE Result ncclAllReduce(const void*, void*, std::size_t, api::DataType, api::Op, api::Comm, void*);
FAKE Result ncclReduce(const void*, void*, std::size_t, api::DataType, api::Op, int, api::Comm, void*);
FAKE Result ncclReduceScatter(const void*, void*, std::size_t, api::DataType, api::Op, api::Comm, void*);
FAKE Result ncclAllGather(const void*, void*, std::size_t, api::DataType, api::Comm, void*);
FAKE Result ncclBroadcast(const void*, void*, std::size_t, api::DataType, int, api::Comm, void*);
FAKE Result ncclSend(const void*, std::size_t, api::DataType, int, api::Comm, void*);
FAKE Result ncclRecv(void*, std::size_t, api::DataType, int, api::Comm, void*);
FAKE Result ncclRedOpCreatePreMulSum(api::Op*, void*, api::DataType, api::ScalarResidence, api::Comm);
FAKE Result ncclRedOpDestroy(api::Op, api::Comm);

FakeNccl* fake_nccl_control() { return &control(); }

Result ncclGetVersion(int* version) {
#if defined(FAKE_NCCL_OLD)
  *version = 21805;
#elif defined(FAKE_NCCL_MIDDLE)
  *version = 22605;
#else
  *version = control().version;
#endif
  return api::success;
}

Result ncclGetUniqueId(api::UniqueId* id) {
  static std::atomic<int> made{0};
  std::memset(id, 0, sizeof *id);
  const std::string text = "fake " + std::to_string(++made);
  std::memcpy(id->internal, text.data(), text.size());
  return api::success;
}

const char* ncclGetErrorString(Result result) {
  switch (result) {
    case api::success: return "no error";
    case api::unhandled_cuda_error: return "unhandled cuda error";
    case api::system_error: return "unhandled system error";
    case api::internal_error: return "internal error";
    case api::invalid_argument: return "invalid argument";
    case api::invalid_usage: return "invalid usage";
    case api::remote_error: return "remote process exited or there was a network error";
    case api::in_progress: return "in progress";
  }
  return "unknown";
}

Result ncclCommInitRankConfig(api::Comm* comm, int ranks, api::UniqueId id, int rank, api::Config* config) {
  if (config->magic != 0xcafebeefu || config->size < sizeof(std::size_t) || config->blocking != 0)
    return api::invalid_argument;
  ++control().inits;
  *comm = make_comm(meet(id.internal, ranks), rank);
  of(*comm)->place = comm;
  return api::in_progress;
}

#if !defined(FAKE_NCCL_BROKEN)
Result ncclCommSplit(api::Comm parent, int color, int key, api::Comm* made, api::Config*) {
  const Shared comm = of(parent);
  ++control().splits;
  const std::lock_guard lock(comm->mutex);
  if (state_of(comm, false) != api::success) return api::invalid_usage;
  const std::lock_guard meeting(meeting_mutex);
  std::shared_ptr<FakeSplit> split;
  const auto rank = static_cast<std::size_t>(comm->rank);
  for (auto& [clique, each] : splits()) {
    if (clique == comm->clique.get() && each->arrived != clique->ranks() && each->keys[rank] < 0) split = each;
  }
  if (split == nullptr) {
    split = std::make_shared<FakeSplit>();
    split->colors.assign(static_cast<std::size_t>(comm->clique->ranks()), -1);
    split->keys.assign(split->colors.size(), -1);
    splits().emplace_back(comm->clique.get(), split);
  }
  split->colors[rank] = color;
  split->keys[rank] = key;
  ++split->arrived;
  comm->split = split;
  comm->split_result = made;
  *made = nullptr;
  return api::in_progress;
}
#endif

#if !defined(FAKE_NCCL_OLD) && !defined(FAKE_NCCL_MIDDLE)
/// Its ranks and no others come here, and the parent knows nothing of it: they find each other by what they have in common.
FAKE Result ncclCommShrink(api::Comm parent, int* excluded, int count, api::Comm* made, api::Config* config, int flags);
Result ncclCommShrink(api::Comm parent, int* excluded, int count, api::Comm* made, api::Config* config, int flags) {
  if (config == nullptr || config->blocking != 0 || flags != api::shrink_default) return api::invalid_argument;
  const Shared comm = of(parent);
  ++control().shrinks;
  const std::lock_guard lock(comm->mutex);
  if (state_of(comm, false) != api::success) return api::invalid_usage;
  int before = 0;
  std::string name = "shrunk of " + std::to_string(reinterpret_cast<std::uintptr_t>(comm->clique.get()));
  for (int i = 0; i < count; ++i) {
    if (excluded[i] == comm->rank) return api::invalid_argument;
    before += excluded[i] < comm->rank ? 1 : 0;
    name += " " + std::to_string(excluded[i]);
  }
  *made = make_comm(meet(name, comm->clique->ranks() - count), comm->rank - before);
  return api::in_progress;
}
#endif

Result ncclCommFinalize(api::Comm comm) {
  ++control().finalized;
  const std::lock_guard lock(of(comm)->mutex);
  return of(comm)->running == 0 ? api::success : api::in_progress;
}

Result ncclCommDestroy(api::Comm comm) {
  ++control().destroyed;
  delete_comm(comm);
  return api::success;
}

Result ncclCommAbort(api::Comm comm) {
  while (control().abort_blocks) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ++control().aborted;
  of(comm)->clique->abort(of(comm)->rank);
  end_makings(comm);
  delete_comm(comm);
  return api::success;
}

Result ncclCommGetAsyncError(api::Comm comm, Result* result) {
  const Shared shared = of(comm);
  const std::lock_guard lock(shared->mutex);
  *result = state_of(shared, true);
  return api::success;
}

Result ncclGroupStart() {
  ++grouping().depth;
  return api::success;
}

Result ncclGroupEnd() { return --grouping().depth == 0 ? give_group() : api::success; }

Result ncclAllReduce(const void* in, void* out, std::size_t count, api::DataType type, api::Op op, api::Comm comm,
                     void* stream) {
  ++control().native;
  return take(comm, {Kind::all_reduce, in, out, count, type, op, 1.0, 0, stream, false});
}
Result ncclReduce(const void* in, void* out, std::size_t count, api::DataType type, api::Op op, int root,
                  api::Comm comm, void* stream) {
  ++control().native;
  return take(comm, {Kind::reduce, in, out, count, type, op, 1.0, root, stream, false});
}
Result ncclReduceScatter(const void* in, void* out, std::size_t count, api::DataType type, api::Op op, api::Comm comm,
                         void* stream) {
  ++control().native;
  return take(comm, {Kind::reduce_scatter, in, out, count, type, op, 1.0, 0, stream, false});
}
Result ncclAllGather(const void* in, void* out, std::size_t count, api::DataType type, api::Comm comm, void* stream) {
  return take(comm, {Kind::all_gather, in, out, count, type, 0, 1.0, 0, stream, false});
}
Result ncclBroadcast(const void* in, void* out, std::size_t count, api::DataType type, int root, api::Comm comm,
                     void* stream) {
  return take(comm, {Kind::broadcast, in, out, count, type, 0, 1.0, root, stream, false});
}
Result ncclSend(const void* in, std::size_t count, api::DataType type, int peer, api::Comm comm, void* stream) {
  return take(comm, {Kind::send, in, nullptr, count, type, 0, 1.0, peer, stream, false});
}
Result ncclRecv(void* out, std::size_t count, api::DataType type, int peer, api::Comm comm, void* stream) {
  return take(comm, {Kind::recv, nullptr, out, count, type, 0, 1.0, peer, stream, false});
}

Result ncclRedOpCreatePreMulSum(api::Op* op, void* scalar, api::DataType type, api::ScalarResidence, api::Comm comm) {
  const std::lock_guard lock(of(comm)->mutex);
  const double value = type == api::float64 ? *static_cast<double*>(scalar) : double{*static_cast<float*>(scalar)};
  of(comm)->scalars.push_back(value);
  *op = static_cast<api::Op>(4 + of(comm)->scalars.size());
  ++control().operations;
  return api::success;
}
Result ncclRedOpDestroy(api::Op, api::Comm) { return api::success; }

#if !defined(FAKE_NCCL_OLD)
FAKE const char* ncclGetLastError(api::Comm comm);
FAKE Result ncclAlltoAll(const void*, void*, std::size_t, api::DataType, api::Comm, void*);
FAKE Result ncclGather(const void*, void*, std::size_t, api::DataType, int, api::Comm, void*);
FAKE Result ncclScatter(const void*, void*, std::size_t, api::DataType, int, api::Comm, void*);
FAKE Result ncclMemAlloc(void** memory, std::size_t bytes);
FAKE Result ncclMemFree(void* memory);
FAKE Result ncclCommRegister(api::Comm, void*, std::size_t, void** handle);
FAKE Result ncclCommDeregister(api::Comm, void* handle);

const char* ncclGetLastError(api::Comm comm) { return comm == nullptr ? "" : of(comm)->last_error.c_str(); }
Result ncclAlltoAll(const void* in, void* out, std::size_t count, api::DataType type, api::Comm comm, void* stream) {
  return take(comm, {Kind::all_to_all, in, out, count, type, 0, 1.0, 0, stream, false});
}
Result ncclGather(const void* in, void* out, std::size_t count, api::DataType type, int root, api::Comm comm,
                  void* stream) {
  return take(comm, {Kind::gather, in, out, count, type, 0, 1.0, root, stream, false});
}
Result ncclScatter(const void* in, void* out, std::size_t count, api::DataType type, int root, api::Comm comm,
                   void* stream) {
  return take(comm, {Kind::scatter, in, out, count, type, 0, 1.0, root, stream, false});
}
Result ncclMemAlloc(void** memory, std::size_t bytes) {
  ++control().memories;
  *memory = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  return *memory != nullptr ? api::success : api::system_error;
}
Result ncclMemFree(void* memory) {
  --control().memories;
  std::free(memory);
  return api::success;
}
Result ncclCommRegister(api::Comm comm, void* memory, std::size_t bytes, void** handle) {
  *handle = memory;
  note_known(comm, memory, bytes);
  ++of(comm)->registered;
  ++control().registered;
  return api::success;
}
Result ncclCommDeregister(api::Comm comm, void* handle) {
  note_forgotten(comm, handle);
  --of(comm)->registered;
  --control().registered;
  return api::success;
}
#if !defined(FAKE_NCCL_MIDDLE)
FAKE Result ncclCommWindowRegister(api::Comm, void*, std::size_t, api::Window* window, int flags);
FAKE Result ncclCommWindowDeregister(api::Comm, api::Window window);
Result ncclCommWindowRegister(api::Comm comm, void* memory, std::size_t bytes, api::Window* window, int) {
  *window = static_cast<api::Window>(memory);
  note_known(comm, memory, bytes);
  ++of(comm)->windows;
  ++control().windows;
  return api::in_progress;
}
Result ncclCommWindowDeregister(api::Comm comm, api::Window window) {
  note_forgotten(comm, window);
  --of(comm)->windows;
  --control().windows;
  return api::success;
}
#endif
#endif
