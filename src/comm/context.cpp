// SPDX-License-Identifier: Apache-2.0
#include "comm/group.hpp"
#include "comm/host_engine.hpp"
#include "comm/message_space.hpp"
#include "comm/world_context.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include <sched.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace trireme::comm {
namespace {

// A look at the clock is due when this much has come together: after 256 rounds that moved nothing, 1024 that did.
constexpr unsigned look_at_clock = 1024;
constexpr unsigned idle_round = 4;
constexpr unsigned busy_round = 1;

/// How often a thread asks for the lock before it sleeps because another drives.
constexpr unsigned refusals_until_parked = 64;

/// Of operations that could end without a look at the links, one in so many takes it: what is queued there must go on.
constexpr unsigned look_at_links_every = 64;

constexpr std::size_t most_early_notes = 1024;

/// In a failed world: of engines whose devices are still to let go of what failed.
constexpr std::chrono::microseconds between_looks_at_devices{100};

void relax() noexcept {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

/// How long to spin before sleeping. Waking an idle core takes tens of microseconds, a scheduler tick milliseconds. Ranks
/// of one host that have a core each spin for as long as the steps of a training loop fall apart: in an MLP of 3 ms a step,
/// sleeping after 300 us costs 2 to 8 %. From then on they yield between looks: others may compute there, too.
constexpr std::chrono::microseconds spin_time{300};
constexpr std::chrono::microseconds spin_time_within_host{5000};

/// The same where ranks outnumber cores and bytes come by the network, in rounds with a yield each.
constexpr unsigned idle_rounds_in_a_crowd = 4;

/// A peer that writes a flag at the very moment this rank goes to sleep may not ring: the first nap is short, and what
/// was written before it is seen after it.
constexpr std::chrono::milliseconds shortest_nap{1};
constexpr std::chrono::milliseconds longest_nap{50};

/// What arrives for an engine that does not ring is found by looking: yields longer before it sleeps, and never for long.
constexpr std::chrono::milliseconds yield_time_without_ring{5};
constexpr std::chrono::milliseconds progress_nap{20};

transport::Endpoint::Options endpoint_options(const ContextOptions& options) {
  transport::Endpoint::Options result;
  if (options.eager_bytes) result.eager_bytes = result.stream_eager_bytes = *options.eager_bytes;
  return result;
}

}  // namespace

Context::Context(ContextOptions options, std::vector<std::unique_ptr<transport::Link>> links)
    : options_(std::move(options)),
      endpoint_(options_.rank, options_.world_size, options_.doorbell, endpoint_options(options_)),
      scratch_(options_.arena),
      staging_(options_.arena),
      cells_(std::make_shared<shared::Cells>(options_.arena)),
      failure_(options_.verdict_wait) {
  waiting_.reserve(1024);
  early_notes_.reserve(most_early_notes);
  groups_.reserve(64);
  for (std::size_t peer = 0; peer < links.size(); ++peer) {
    if (links[peer]) endpoint_.attach(static_cast<int>(peer), std::move(links[peer]));
  }
  endpoint_.set_listener(this);
}

Context::~Context() { close(true, {}); }

void Context::open() {
  if (options_.open_control) control_ = options_.open_control(*this);
  if (options_.progress_thread && options_.world_size > 1)
    progress_thread_ = std::thread([this] { run_progress_thread(); });
}

void Context::lock() noexcept {
  lock_.lock([this] { endpoint_.wake(); });
}

// ------------------------------------------------------------------------------------------------------------ driving

/// While the ranks disagree on an operation nothing may still succeed: a rank could otherwise leave with the result of
/// the next one and never hear of it. After other failures what has all its bytes is done.
bool Context::poll_groups() noexcept {
  bool moved = false;
  if (!failure_.disputed()) {
    for (Group* group : groups_) moved |= group->poll();
  }
  return moved;
}

bool Context::poll_everything() noexcept {
  if (failure_.aborted()) {
    if (!links_aborted_) {
      links_aborted_ = true;
      cells_->forget_peers();
      endpoint_.abort();
    }
    bool moved = false;
    for (Group* group : groups_) moved |= group->fail_active();
    return moved;
  }
  bool moved = endpoint_.progress();
  moved |= poll_groups();
  // Every round counts: while bytes of one communicator move for ever, another's operations must still end in time.
  rounds_ += moved ? busy_round : idle_round;
  if (rounds_ >= look_at_clock) {
    rounds_ = 0;
    const auto now = Deadline::Clock::now();
    for (Group* group : groups_) group->check_time(now);
    failure_.settle_if_overdue();
  }
  return moved;
}

bool Context::drive(Operation& operation, Deadline until) noexcept {
  if (operation.done()) return true;
  unattended_.store(0, std::memory_order_release);  // from here on this thread drives
  const bool done = drive_until(operation, until);
  stop_driving();
  return done;
}

bool Context::drive_until(Operation& operation, Deadline until) noexcept {
  unsigned idle = 0;
  unsigned refused = 0;
  // Who spins where others wait for a core keeps the kernel from handing on what has come for them.
  const auto spin = !options_.crosses_network && options_.ranks_fit_cores ? spin_time_within_host : spin_time;
  const bool crowded = options_.crosses_network && !options_.ranks_fit_cores && options_.engine_rings;
  bool woken = false;
  bool yields = false;  // whoever else wants this core gets it
  Deadline::Clock::time_point idle_since{};
  std::chrono::milliseconds nap = shortest_nap;
  for (;;) {
    if (operation.done()) return true;
    if (!lock_.wanted() && lock_.try_lock()) {
      const bool moved = poll_everything();
      const bool done = operation.done();
      refused = 0;
      if (moved) {
        idle = 0;
        yields = false;
      }
      bool sleep = false;
      if (!done && !moved && ++idle % 64 == 0) {
        const auto now = Deadline::Clock::now();
        if (idle == 64) idle_since = now;
        sleep = now - idle_since > (options_.engine_rings ? spin : yield_time_without_ring);
        yields = now - idle_since > spin_time;
      }
      sleep |= crowded && !done && !moved && idle >= idle_rounds_in_a_crowd;
      const bool lets_go = failure_.aborted();  // its engine, of the operation: nothing comes by the links any more
      if (sleep && !lets_go && !lock_.wanted() && !until.passed()) {
        publish_status(true, &operation.group->head_of(operation));
        endpoint_.sleep(Deadline::at(std::min(until.moment(), Deadline::Clock::now() + nap)),
                        [this] { return poll_groups(); });
        if (options_.engine_rings) nap = std::min(2 * nap, longest_nap);
        rounds_ = look_at_clock;  // the next round looks at the clock
      }
      lock_.unlock();
      if (done) return true;
      if (lets_go && !moved) std::this_thread::sleep_for(between_looks_at_devices);
    } else {
      if (!std::exchange(woken, true)) endpoint_.wake();  // the progress thread may sleep with the lock
      ::sched_yield();
      if (++refused >= refusals_until_parked) await_driver(operation, until, refused - refusals_until_parked);
    }
    if (!until.is_never() && until.passed()) return operation.done();
    if (options_.ranks_fit_cores && !yields && (options_.engine_rings || idle < 64)) {
      relax();
    } else {
      ::sched_yield();
    }
  }
}

/// Another thread drives, this operation too: sleeps until it has ended, that thread has stopped, or a moment has passed;
/// a longer one each time, for who holds the lock may be about to give it back for good and wake nobody.
void Context::await_driver(const Operation& operation, Deadline until, unsigned slept) noexcept {
  Parking::Place place(parking_);
  if (operation.done() || !lock_.taken()) return;
  const std::chrono::nanoseconds moment = std::chrono::microseconds(50) * (1u << std::min(slept, 10u));
  place.sleep(until.is_never() ? moment
                               : std::min<std::chrono::nanoseconds>(moment, until.moment() - Deadline::Clock::now()));
}

void Context::progress_once() noexcept {
  if (active_operations_.load(std::memory_order_relaxed) == 0 || !lock_.try_lock()) return;
  poll_everything();
  lock_.unlock();
}

void Context::operation_count_changed(int by) noexcept {
  // Written under the lock alone, read without it.
  active_operations_.store(active_operations_.load(std::memory_order_relaxed) + by, std::memory_order_release);
}

bool Context::may_linger() noexcept {
  if (++asked_to_linger_ % look_at_links_every == 0) return false;
  return active_operations_.load(std::memory_order_relaxed) == 1 && options_.engine_rings && !failure_.pending() &&
         !failure_.aborted();
}

void Context::relax() const noexcept {
  if (options_.ranks_fit_cores) {
    comm::relax();
  } else {
    ::sched_yield();
  }
}

void Context::stop_driving() noexcept {
  parking_.wake_one();
  if (active_operations_.load(std::memory_order_relaxed) != 0) leave_unattended();
}

void Context::leave_unattended() noexcept {
  if (!options_.progress_thread) return;
  unattended_.store(1, std::memory_order_release);
  unattended_.notify_one();
}

/// Overlap for links whose bytes move only when somebody handles them. Parked while nothing is under way or a caller
/// drives; otherwise mostly asleep in the endpoint, which a caller that wants the lock ends.
void Context::run_progress_thread() noexcept {
  while (!stop_.load(std::memory_order_acquire)) {
    if (unattended_.load(std::memory_order_acquire) == 0) {
      unattended_.wait(0, std::memory_order_acquire);
      continue;
    }
    if (lock_.wanted() || !lock_.try_lock()) {
      ::sched_yield();
      continue;
    }
    const bool moved = poll_everything();
    bool lets_go = false;
    if (active_operations_.load(std::memory_order_relaxed) == 0) {
      unattended_.store(0, std::memory_order_release);
    } else if (failure_.aborted()) {
      lets_go = true;
    } else if (!moved && !lock_.wanted() && unattended_.load(std::memory_order_acquire) != 0) {
      publish_status(true);
      endpoint_.sleep(Deadline::after(options_.engine_rings ? progress_nap : shortest_nap),
                      [this] { return poll_groups(); });
      rounds_ = look_at_clock;  // the next round looks at the clock
    }
    lock_.unlock();
    if (lets_go) std::this_thread::sleep_for(between_looks_at_devices);
    if (unattended_.load(std::memory_order_relaxed) == 0) parking_.wake_one();
  }
}

// ------------------------------------------------------------------------------------------------------- bookkeeping

void Context::enrol(Group& group) {
  groups_.push_back(&group);
  const auto is_for_it = [&](const EarlyNote& note) { return note.key.communicator == group.id(); };
  for (const auto& note : early_notes_) {
    if (is_for_it(note)) group.heard(note.peer, note.key.operation, note.stamp);
  }
  std::erase_if(early_notes_, is_for_it);
}

void Context::strike(Group& group) noexcept { std::erase(groups_, &group); }

void Context::watch(Engine& engine) {
  const std::lock_guard lock(watched_mutex_);
  watched_.push_back(&engine);
  if (failure_.aborted()) engine.abort();
}

void Context::no_longer_watch(Engine& engine) noexcept {
  const std::lock_guard lock(watched_mutex_);
  std::erase(watched_, &engine);
}

bool Context::device_hangs() noexcept {
  const std::lock_guard lock(watched_mutex_);
  return std::any_of(watched_.begin(), watched_.end(), [](const Engine* engine) { return engine->hangs(); });
}

Group* Context::find(std::uint32_t communicator) const {
  for (Group* group : groups_) {
    if (group->id() == communicator) return group;
  }
  return nullptr;
}

std::vector<bool> Context::shares_memory() const {
  std::vector<bool> result(static_cast<std::size_t>(options_.world_size), false);
  for (std::size_t r = 0; r < result.size() && r < options_.transports.size(); ++r)
    result[r] = options_.transports[r] != "tcp";
  return result;
}

std::string Context::host_of(int world_rank) const {
  return world_rank >= 0 && static_cast<std::size_t>(world_rank) < options_.hosts.size()
             ? options_.hosts[static_cast<std::size_t>(world_rank)]
             : "unknown host";
}

void Context::raise(const rendezvous::Cause& cause, const Operation* operation) {
  if (!failure_.pending() && !failure_.aborted()) publish_status(true, operation);
  failure_.raise(cause, control_.get());
}

void Context::abort(const Error& cause) noexcept {
  if (options_.world_size == 1) return;
  // A timeout is nobody's fault until the ranks have been asked whom they wait for; here it is known.
  const bool is_own = cause.code != ErrorCode::none && cause.code != ErrorCode::timeout;
  lock();
  raise({.code = is_own ? cause.code : ErrorCode::system,
         .epoch = options_.epoch,
         .member = options_.rank,
         .member_host = host_of(options_.rank),
         .message = "rank " + std::to_string(options_.rank) + " (" + host_of(options_.rank) + "): " + cause.message});
  unlock();
  while (!failure_.aborted()) {
    lock();
    failure_.settle_if_overdue();
    unlock();
    progress_once();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the verdict is brought by another thread
  }
}

void Context::publish_status(bool with_peers, const Operation* driven) noexcept {
  if (failure_.pending()) return;  // whoever asks now, asks about that
  // The oldest operation of the communicator that is stuck longest tells most; with none active, the last one.
  const Operation* oldest = driven;
  const Group* holder = driven != nullptr ? driven->group : groups_.empty() ? nullptr : groups_.front();
  for (const Group* group : groups_) {
    if (driven != nullptr) break;
    const Operation* candidate = group->oldest();
    if (candidate != nullptr && (oldest == nullptr || candidate->issued_tick < oldest->issued_tick)) {
      oldest = candidate;
      holder = group;
    }
  }
  if (holder == nullptr) return;
  waiting_.clear();
  if (oldest != nullptr) {
    if (with_peers) oldest->engine->waiting_for(*oldest, waiting_);
    board_.write(holder->id(), oldest->sequence, &oldest->request, waiting_);
  } else {
    const auto issued = holder->issued();
    board_.write(holder->id(), issued == 0 ? 0 : issued - 1, nullptr, waiting_);
  }
}

void Context::publish_passed(const Group& group, const Operation& operation) noexcept {
  // As publish_status with none active: the first communicator's last one counts.
  if (!failure_.pending() && !groups_.empty() && groups_.front() == &group)
    board_.write_idle(group.id(), operation.sequence, operation.request);
}

Error Context::failure_error() const {
  const auto cause = failure_.cause();
  if (!cause) return {};
  Error error;
  error.code = cause->code;
  error.message = cause->message;
  error.rank = options_.rank;
  error.peer_rank = cause->member;
  error.peer_host = cause->member_host;
  return error;
}

// --------------------------------------------------------------------------------------------------- being listened to

rendezvous::Status Context::status() noexcept { return board_.read(options_.rank); }

void Context::verdict(const rendezvous::Cause& cause) noexcept {
  failure_.settle(cause);
  endpoint_.wake();
  // Who waits for the device alone drives nothing, and would never hear of it.
  const std::lock_guard lock(watched_mutex_);
  for (Engine* engine : watched_) engine->abort();
}

void Context::unexpected(int peer, const transport::MessageKey& key, const transport::Stamp& theirs) noexcept {
  // A message for an operation already issued that nothing waits for: only a mismatch can have sent a wrong one.
  Group* group = (key.communicator & transfer_bit) == 0 ? find(key.communicator) : nullptr;
  if (group != nullptr && key.operation < group->issued()) group->heard(peer, key.operation, theirs);
}

void Context::mismatched(int peer, const transport::MessageKey& key, const transport::Stamp& ours,
                         const transport::Stamp& theirs) noexcept {
  if (Group* group = find(key.communicator & ~transfer_bit)) {
    group->mismatch(peer, key.operation, ours, theirs, (key.communicator & transfer_bit) != 0);
  }
}

void Context::noted(int peer, std::uint8_t kind, const transport::MessageKey& key,
                    const transport::Stamp& theirs) noexcept {
  if (kind != signature_note) return;
  if (Group* group = find(key.communicator)) {
    group->heard(peer, key.operation, theirs);
    return;
  }
  // The peer has finished a split that this rank has not; or the communicator is gone here, which nobody will ask for.
  if (early_notes_.size() == most_early_notes) early_notes_.erase(early_notes_.begin());
  early_notes_.push_back({peer, key, theirs});
}

/// What a broken connection interrupts: the oldest operation that lacks bytes of that peer, else the oldest of all.
void Context::raise_against(int peer, ErrorCode code, std::string message) noexcept {
  const Operation* interrupted = nullptr;
  const Operation* oldest = nullptr;
  const auto older = [](const Operation* a, const Operation* b) {
    return (b == nullptr || (a != nullptr && a->issued_tick < b->issued_tick)) ? a : b;
  };
  for (const Group* group : groups_) {
    interrupted = older(group->oldest_waiting_for(peer), interrupted);
    oldest = older(group->oldest(), oldest);
  }
  if (interrupted == nullptr) interrupted = oldest;
  rendezvous::Cause cause{.code = code,
                          .epoch = options_.epoch,
                          .member = peer,
                          .member_host = host_of(peer),
                          .message = std::move(message)};
  if (interrupted != nullptr) {
    cause.communicator = interrupted->group->id();
    cause.operation = interrupted->sequence;
    cause.operation_name = interrupted->title();
    cause.message += ", during " + cause.operation_name;
  }
  raise(cause, interrupted);
}

void Context::peer_ended(int peer, transport::LinkState state, int errno_value) noexcept {
  // A peer that closed in good order is missed only by an operation that needs it: that one then fails.
  if (state != transport::LinkState::lost) return;
  std::string message = "rank " + std::to_string(peer) + " (" + host_of(peer) + ") is gone: its connection broke";
  if (errno_value != 0) message += std::string(" (") + std::strerror(errno_value) + ")";
  raise_against(peer, ErrorCode::peer_lost, std::move(message));
}

void Context::corrupted(int peer, std::string_view what) noexcept {
  raise_against(peer, ErrorCode::corrupt,
                "rank " + std::to_string(peer) + " (" + host_of(peer) + ") sent " + std::string(what));
}

void Context::overrun(int peer, const transport::MessageKey& next, std::size_t messages) noexcept {
  const std::uint32_t id = next.communicator & ~transfer_bit;
  const bool transfer = id != next.communicator;
  const Group* group = find(id);
  const bool ahead = group != nullptr && !transfer && next.operation >= group->issued();
  // Nobody is at fault: the one is early, or the other late.
  raise({.code = ErrorCode::system,
         .epoch = options_.epoch,
         .communicator = id,
         .operation = next.operation,
         .message = "rank " + std::to_string(peer) + " (" + host_of(peer) + ") is " +
                    std::to_string(ahead ? next.operation - group->issued() + 1 : messages) +
                    (ahead ? " operations" : " messages") + " ahead of rank " + std::to_string(options_.rank) +
                    " on communicator " + std::to_string(id) + ", and there is no room for more: " +
                    (transfer ? "receive them earlier, or let the sender wait now and then"
                              : "begin them earlier, or call a barrier on that communicator now and then")});
}

// ----------------------------------------------------------------------------------------------------------- the ends

bool Context::close(bool failed, std::chrono::nanoseconds patience) noexcept {
  lock();
  if (closed_) {
    unlock();
    return false;
  }
  closed_ = true;
  unlock();
  if (progress_thread_.joinable()) {
    stop_.store(true, std::memory_order_release);
    unattended_.store(1, std::memory_order_release);
    unattended_.notify_all();
    endpoint_.wake();
    progress_thread_.join();
  }
  if (control_) failed ? control_->abandon() : control_->leave();
  lock();
  const bool orderly = !failed && !failure_.aborted() && active_operations_.load(std::memory_order_relaxed) == 0;
  cells_->forget_peers();
  const bool together = orderly && endpoint_.close(Deadline::after(patience));
  failure_.settle({.code = ErrorCode::closed, .epoch = options_.epoch, .message = "this world was closed"});
  poll_everything();
  unlock();
  control_.reset();
  return together;
}

std::shared_ptr<Context> open_context(ContextOptions options, std::vector<std::unique_ptr<transport::Link>> links) {
  auto context = std::make_shared<Context>(std::move(options), std::move(links));
  context->open();
  return context;
}

namespace {

/// For host memory, of all ranks.
std::unique_ptr<Engine> host_memory_engine(const std::shared_ptr<Context>& context, const std::vector<int>& members,
                                           int rank) {
  if (const auto& make_engine = context->options().make_engine)
    return make_engine(engine_room(*context, 0, members, rank));
  return std::make_unique<HostEngine>(context->endpoint(), context->scratch(),
                                      HostEngine::Settings{.crosses_network = context->options().crosses_network,
                                                           .crosses_hosts = context->options().crosses_hosts,
                                                           .algorithm = context->options().algorithm,
                                                           .cache_groups = context->options().cache_groups,
                                                           .epoch = context->options().epoch,
                                                           .shares_memory = context->shares_memory(),
                                                           .cells = context->cells(),
                                                           .listener = context.get()},
                                      0, members, rank);
}

}  // namespace

EngineRoom engine_room(Context& context, std::uint32_t id, std::vector<int> members, int rank) {
  const Deadline join_until = context.options().join_until;
  std::chrono::nanoseconds patience = context.options().timeout;
  if (id == 0 && !join_until.is_never())
    patience = std::max<std::chrono::nanoseconds>(join_until.moment() - Deadline::Clock::now(), {});
  return {.endpoint = context.endpoint(),
          .scratch = context.scratch(),
          .listener = context,
          .aborted = [&failure = context.failure()] { return failure.aborted(); },
          .patience = patience,
          .id = id,
          .members = std::move(members),
          .rank = rank};
}

Communicator with_devices(std::shared_ptr<Group> group, Engine* parent, bool sole) {
  const auto& context = group->context();
  const auto& devices = context->options().devices;
  Communicator communicator(group);
  if (!devices.make_engine) return communicator;
  group->serve_devices(devices.make_engine({.room = engine_room(*context, group->id(), group->members(), group->rank()),
                                            .host = group->engine(),
                                            .runtime = devices.runtime,
                                            .device = devices.device,
                                            .everywhere = devices.everywhere,
                                            .parent = parent,
                                            .sole = sole,
                                            .exchange = [&](std::span<const std::byte> mine) {
                                              return communicator.all_gather_bytes(mine, {.label = "device engine"});
                                            }}));
  return communicator;
}

Communicator make_communicator(const std::shared_ptr<Context>& context) {
  std::vector<int> members(static_cast<std::size_t>(context->options().world_size));
  std::iota(members.begin(), members.end(), 0);
  const int rank = context->options().rank;
  auto engine = host_memory_engine(context, members, rank);
  return with_devices(std::make_shared<Group>(context, 0, std::move(members), rank, std::move(engine)), nullptr);
}

bool close_context(const std::shared_ptr<Context>& context, bool failed, std::chrono::nanoseconds patience) noexcept {
  return context->close(failed, patience);
}

bool device_hangs(const std::shared_ptr<Context>& context) noexcept { return context->device_hangs(); }

std::optional<Error> failure_of(const std::shared_ptr<Context>& context) {
  if (!context->failure().aborted()) return std::nullopt;
  return context->failure_error();
}

}  // namespace trireme::comm
