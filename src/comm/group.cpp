// SPDX-License-Identifier: Apache-2.0
#include "comm/group.hpp"

#include "comm/message_space.hpp"
#include "comm/signature.hpp"
#include "comm/world_context.hpp"

#include <algorithm>
#include <chrono>
#include <new>

namespace trireme::comm {
namespace {

constexpr std::size_t operations_at_start = 16;
/// Times its deadline that an operation waits for its own stream.
constexpr int patience_with_streams = 10;

/// Some tens of microseconds: longer than small operations take, shorter than anybody's patience.
constexpr unsigned rounds_to_linger = 1000;
/// A pause costs the processor tens of nanoseconds, a tenth of the fastest operation: the first rounds go without.
constexpr unsigned rounds_in_haste = 100;

std::string seconds_text(std::chrono::nanoseconds duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", std::chrono::duration<double>(duration).count());
  return text;
}

/// The progress lock, held.
class Locked {
 public:
  explicit Locked(Context& context) : context_(context) { context_.lock(); }
  ~Locked() { context_.unlock(); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  Context& context_;
};

/// Clears the flag of a thread that issues, however it leaves.
class IssuingFlag {
 public:
  explicit IssuingFlag(std::atomic<bool>& flag) : flag_(flag) {
    if (flag_.exchange(true, std::memory_order_acquire)) {
      fail(ErrorCode::invalid_argument,
           "two threads issue operations on one communicator at the same time; give each thread its own (split)");
    }
  }
  ~IssuingFlag() { flag_.store(false, std::memory_order_release); }
  IssuingFlag(const IssuingFlag&) = delete;
  IssuingFlag& operator=(const IssuingFlag&) = delete;

 private:
  std::atomic<bool>& flag_;
};

}  // namespace

Group::Group(std::shared_ptr<Context> context, std::uint32_t id, std::vector<int> members, int rank,
             std::unique_ptr<Engine> engine)
    : context_(std::move(context)),
      id_(id),
      members_(std::move(members)),
      rank_(rank),
      engine_(std::move(engine)),
      sends_(members_.size()),
      receives_(members_.size()) {
  heard_.reserve(1024);  // a peer may run that far ahead
  active_.reserve(256);
  free_.reserve(256);
  grow();
  const Locked locked(*context_);
  context_->enrol(*this);
}

Group::~Group() {
  {
    const Locked locked(*context_);
    context_->strike(*this);
    if (device_engine_) context_->no_longer_watch(*device_engine_);
  }
  // Not under the lock: its end may wait, bounded, for the device and for the other ranks' ends, which may wait for what other
  // communicators of this rank are to do.
  device_engine_.reset();
  const Locked locked(*context_);
  engine_.reset();  // what it shares with other engines of the world is under the lock
}

void Group::grow() {
  for (std::size_t i = 0; i < operations_at_start; ++i) {
    pool_.push_back(std::make_unique<Operation>());
    pool_.back()->state = engine_->make_state();
    if (device_engine_) make_device_states(*pool_.back());
    pool_.back()->staging = Staging(members_.size());
    free_.push_back(pool_.back().get());
  }
}

void Group::serve_devices(std::unique_ptr<Engine> engine) {
  const Locked locked(*context_);
  device_engine_ = std::move(engine);
  for (const auto& operation : pool_) make_device_states(*operation);
  context_->watch(*device_engine_);
}

void Group::know(const std::shared_ptr<DeviceBlock>& block) {
  const IssuingFlag issuing(issuing_);
  device_engine_->know(block);
}

void Group::forget(const std::shared_ptr<DeviceBlock>& block) noexcept { device_engine_->forget(block); }

bool Group::is_idle() {
  const Locked locked(*context_);
  return active_.empty();
}

void Group::make_device_states(Operation& operation) {
  operation.device_state = device_engine_->make_state();
  operation.staged_state = device_engine_->make_staged_state();
}

Engine& Group::engine_for(const Request& request) const {
  if (request.on_device()) return *device_engine_;
  const bool in_turn = device_engine_ && request.collective != plan::Collective::send_recv;
  return in_turn && device_engine_->holds_back() ? *device_engine_ : *engine_;
}

std::optional<Device> Group::device() const {
  return device_engine_ ? std::optional<Device>(context_->options().devices.device) : std::nullopt;
}

Operation& Group::take() {
  if (free_.empty()) grow();
  Operation* operation = free_.back();
  free_.pop_back();
  return *operation;
}

Group::Numbering& Group::numbering_of(const Request& request) {
  if (request.collective != plan::Collective::send_recv) return collectives_;
  return (request.outgoing ? sends_ : receives_)[static_cast<std::size_t>(request.root)];
}

/// Undoes the entry of an operation that did not start.
void Group::withdraw(Operation& operation) noexcept {
  Numbering& numbering = numbering_of(operation.request);
  --numbering.active;
  --numbering.next;
  if (operation.request.collective != plan::Collective::send_recv) recorder_.forgotten(operation.sequence);
  context_->operation_count_changed(-1);
  operation.staging.give_back(context_->staging());
  std::erase(active_, &operation);
  operation.set_phase(Operation::Phase::free);
  free_.push_back(&operation);
  context_->publish_status(false);  // whoever asks must not hear of it as under way
}

/// This rank cannot take part in what the others have called or will call: they learn it at once, not at the deadline.
void Group::fail_alone(Operation& operation, ErrorCode code, const std::string& what) {
  const int self = context_->options().rank;
  Error error;
  error.code = code;
  error.message = "rank " + std::to_string(self) + " (" + context_->host_of(self) + ") cannot run " +
                  operation.title() + ": " + what;
  error.operation = operation.name();
  error.label = operation.request.label.data();
  error.rank = error.peer_rank = self;
  error.peer_host = context_->host_of(self);
  if (size() > 1) raise(operation, code, self, error.message);
  withdraw(operation);
  throw Exception(std::move(error));
}

Operation& Group::issue(const Request& request) {
  const IssuingFlag issuing(issuing_);
  const Locked locked(*context_);
  Operation& operation = start(request);
  operation.keeper = shared_from_this();
  show(operation);
  return operation;
}

/// From here on the status board tells of `operation`, until it ends.
void Group::show(Operation& operation) noexcept {
  operation.published = true;
  context_->publish_status(false);
}

void Group::run(const Request& request) {
  Operation* operation = nullptr;
  bool ended = false;
  {
    const IssuingFlag issuing(issuing_);
    const Locked locked(*context_);
    operation = &start(request);
    ended = linger(*operation);
    if (ended) {
      put_back(*operation);
    } else if (!operation->published) {
      show(*operation);
    }
  }
  if (ended) return context_->stop_driving();
  drive(*operation, Deadline::never());  // bounded by the operation's own deadline
  if (!operation->failure) return recycle(*operation);
  Error failure = operation->failure;
  recycle(*operation);
  throw Exception(std::move(failure));
}

/// Under the lock. What is locked, or what the engine needs, is done before the peers hear of the operation: a locked
/// instruction behind their hearing would wait for the cache lines they are reading. Plain bookkeeping comes behind it, in
/// the time that their answers take.
Operation& Group::start(const Request& request) {
  if (context_->failure().aborted()) {
    Error failure = context_->failure_error();
    failure.operation = std::string(plan::name_of(request.collective));
    failure.label = request.label.data();
    throw Exception(std::move(failure));
  }
  Numbering& numbering = numbering_of(request);
  Operation& operation = take();
  operation.request = request;
  operation.sequence = numbering.next;
  const auto& algorithm = context_->options().algorithm;
  operation.stamp = signature_of(request, algorithm ? static_cast<int>(*algorithm) + 1 : 0);
  if (request.on_device() && !device_engine_->meets_host_memory(request)) operation.stamp.words[0] |= device_bit;
  operation.failure.code = ErrorCode::none;
  operation.failure.peer_rank = -1;
  operation.stuck = operation.warned = operation.observed = operation.published = false;
  operation.issued_tick = ticks();
  operation.head = numbering.active == 0;
  operation.head_since = {};
  // Entered before it starts: the engine may meet a peer's message for it at once, and what that message tells must
  // find it here.
  operation.group = this;
  operation.engine = &engine_for(request);
  operation.set_phase(Operation::Phase::active);
  active_.push_back(&operation);
  ++numbering.active;
  ++numbering.next;
  context_->operation_count_changed(+1);
  try {
    operation.staging.take_in(operation.request, context_->staging());
    operation.engine->start(operation);  // looks at no message: nothing can have asked the recorder for this operation
  } catch (const Exception& caught) {
    if (caught.error().code == ErrorCode::invalid_argument || caught.error().code == ErrorCode::unsupported) {
      withdraw(operation);  // the others are refused alike
      throw;
    }
    fail_alone(operation, caught.error().code, caught.error().message);
  } catch (const std::bad_alloc&) {
    fail_alone(operation, ErrorCode::system, "out of memory");
  } catch (...) {
    withdraw(operation);
    throw;
  }
  if (request.collective != plan::Collective::send_recv) {
    recorder_.issued(operation.sequence, operation.stamp, request.label, operation.issued_tick, request.on_device());
    compare_with_heard(operation);
  }
  return operation;
}

/// What peers have said of this operation before it was issued here.
void Group::compare_with_heard(const Operation& operation) {
  if (!heard_.empty()) {
    for (const auto& each : heard_) {
      if (each.sequence == operation.sequence && !same_call(operation.stamp, each.stamp)) {
        mismatch(each.world_peer, each.sequence, operation.stamp, each.stamp, false);
      }
    }
    std::erase_if(heard_, [&](const Heard& each) { return each.sequence <= operation.sequence; });
  }
  context_->endpoint().for_each_unexpected(
      collective_space(id_), operation.sequence,
      [&](int peer, const transport::MessageKey& key, const transport::Stamp& theirs) {
        if (!same_call(operation.stamp, theirs)) mismatch(peer, key.operation, operation.stamp, theirs, false);
      });
}

/// Asks the engine again and again, and nobody else: an operation among ranks that are all there ends sooner than a
/// round through everything takes. True if it has ended, well.
bool Group::linger(Operation& operation) noexcept {
  // Where messages go, ending the operation is not all there is to do: what is queued for the peers must leave.
  if (!context_->may_linger() || (size() > 1 && !operation.engine->moves_by_polling(operation))) return false;
  for (unsigned round = 0; round < rounds_to_linger; ++round) {
    const Progress progress = operation.engine->poll(operation);
    if (progress == Progress::done) {
      finish(operation, false);
      return true;
    }
    if (progress == Progress::failed || operation.stuck) return false;  // found again by who drives everything
    if (round >= rounds_in_haste || !context_->options().ranks_fit_cores) {
      // It takes longer than an operation among ranks that are all there: whoever asks shall hear of it.
      if (!operation.published) show(operation);
      if (context_->failure().aborted()) return false;
      context_->relax();
    }
    if (context_->wanted()) return false;
  }
  return false;
}

bool Group::drive(Operation& operation, Deadline until) noexcept { return context_->drive(operation, until); }

void Group::order(Operation& operation, Stream stream) noexcept {
  // How long the host helps an operation on until all of it has been given to the device, between two attempts.
  constexpr std::chrono::microseconds a_moment(50);
  bool later = true;
  while (later) {
    {
      const Locked locked(*context_);
      if (operation.engine->order(operation, stream)) return;
      later = operation.engine->can_order(operation);
    }
    if (later && drive(operation, Deadline::after(a_moment))) return;
  }
  drive(operation, Deadline::never());
}

void Group::recycle(Operation& operation) noexcept {
  const Locked locked(*context_);
  put_back(operation);
}

void Group::put_back(Operation& operation) noexcept {
  operation.set_phase(Operation::Phase::free);
  free_.push_back(&operation);
}

bool Group::poll() noexcept {
  bool moved = false;
  for (std::size_t i = 0; i < active_.size();) {
    Operation& operation = *active_[i];
    if (operation.stuck) {
      ++i;
      continue;
    }
    const Progress progress = operation.engine->poll(operation);
    moved |= progress != Progress::idle;
    if (progress == Progress::done) {
      finish(operation, false);
      continue;
    }
    if (progress == Progress::failed && operation.failure) {  // the engine knows what failed
      raise(operation, operation.failure.code, operation.failure.peer_rank,
            "rank " + std::to_string(context_->options().rank) + " (" + context_->host_of(context_->options().rank) +
                ") cannot go on with " + operation.title() + ": " + operation.failure.message);
    } else if (progress == Progress::failed) {
      // A mismatch or a corrupt frame has raised its own cause already; then this one is ignored.
      const int member = operation.failure.peer_rank;
      const bool closed = member >= 0 && context_->endpoint().link_state(member) == transport::LinkState::closed;
      raise(operation, closed ? ErrorCode::closed : ErrorCode::peer_lost, member,
            "rank " + std::to_string(member) + " (" + context_->host_of(member) + ") " +
                (closed ? "has closed its world" : "is gone: its connection broke") + ", during " + operation.title());
    }
    ++i;
  }
  return moved;
}

void Group::raise(Operation& operation, ErrorCode code, int world_member, std::string message) {
  operation.stuck = true;
  context_->raise({.code = code,
                   .epoch = context_->options().epoch,
                   .communicator = id_,
                   .operation = operation.sequence,
                   .member = world_member,
                   .member_host = context_->host_of(world_member),
                   .operation_name = operation.title(),
                   .message = std::move(message)},
                  &operation);
}

const Operation& Group::head_of(const Operation& operation) {
  const Numbering* numbering = &numbering_of(operation.request);
  for (const Operation* each : active_) {
    if (&numbering_of(each->request) == numbering) return *each;
  }
  return operation;
}

const Operation* Group::oldest_waiting_for(int world_peer) const {
  std::vector<int> ranks;
  for (const Operation* operation : active_) {
    ranks.clear();
    operation->engine->waiting_for(*operation, ranks);
    if (std::find(ranks.begin(), ranks.end(), world_peer) != ranks.end()) return operation;
  }
  return nullptr;
}

void Group::check_time(Deadline::Clock::time_point now) {
  if (context_->failure().pending()) return;  // one finding is enough, and the others may still end well
  for (Operation* operation : active_) {
    if (operation->head && !operation->stuck) check_time(*operation, now);
  }
}

void Group::check_time(Operation& head, Deadline::Clock::time_point now) {
  if (head.head_since == Deadline::Clock::time_point{}) {
    if (!head.engine->has_begun(head)) {
      // Every wait is bounded: also one for a stream that never comes to the operation, on every rank.
      if (elapsed(head) < patience_with_streams * head.request.timeout) return warn_of_stream(head);
      return raise(head, ErrorCode::timeout, context_->options().rank,
                   head.title() + " has not begun after " + seconds_text(elapsed(head)) +
                       ": its stream is busy with what it was given before");
    }
    head.head_since = now;
    head.warned = false;
  }
  const auto waited = now - head.head_since;
  const bool late = waited >= head.request.timeout;
  if (!late && (head.warned || waited < nanoseconds_to_wait(context_->options().warn_after))) return;
  std::vector<int> missing;
  head.engine->waiting_for(head, missing);
  std::string who;
  for (std::size_t i = 0; i < missing.size() && i < 8; ++i)
    who += (i == 0 ? "rank " : ", ") + std::to_string(missing[i]);
  if (missing.size() > 8) who += " and " + std::to_string(missing.size() - 8) + " more";
  if (who.empty()) who = "nobody";
  const std::string what = head.title() + " has not finished after " + seconds_text(waited) + ", waiting for " + who;
  if (!late) {
    head.warned = true;
    context_->options().log(LogLevel::warning, "rank " + std::to_string(context_->options().rank) + ": " + what);
    return;
  }
  raise(head, ErrorCode::timeout, missing.empty() ? -1 : missing.front(), what);
}

/// What stands before `head` in its stream is no operation's fault, but somebody may wonder.
void Group::warn_of_stream(Operation& head) {
  const auto waited = elapsed(head);
  if (head.warned || waited < nanoseconds_to_wait(context_->options().warn_after)) return;
  head.warned = true;
  context_->options().log(LogLevel::warning, "rank " + std::to_string(context_->options().rank) + ": " + head.title() +
                                                 " has not begun after " + seconds_text(waited) +
                                                 ": its stream is busy with what it was given before");
}

void Group::finish(Operation& operation, bool failed) noexcept {
  operation.engine->finish(operation);
  if (!failed) operation.staging.bring_out(operation.request);
  operation.staging.give_back(context_->staging());
  const auto next = active_.erase(std::find(active_.begin(), active_.end(), &operation));
  if (operation.request.collective != plan::Collective::send_recv) {
    recorder_.ended(operation.sequence, failed ? FlightRecorder::Outcome::failed : FlightRecorder::Outcome::done,
                    ticks());
  }
  Numbering& numbering = numbering_of(operation.request);
  if (--numbering.active > 0 && operation.head) {
    const auto heir = std::find_if(next, active_.end(),
                                   [&](const Operation* each) { return &numbering_of(each->request) == &numbering; });
    (*heir)->head = true;
  }
  context_->operation_count_changed(-1);
  if (operation.published) {
    context_->publish_status(false);
  } else {
    context_->publish_passed(*this, operation);
  }
  Context& context = *context_;
  operation.set_phase(Operation::Phase::done);  // from here on the waiter may take it away, and the group with it
  context.wake_waiting();
}

std::chrono::nanoseconds Group::elapsed(const Operation& operation) const noexcept {
  const auto reading = context_->tick_scale().read();
  return std::chrono::nanoseconds(reading.nanoseconds(ticks()) - reading.nanoseconds(operation.issued_tick));
}

bool Group::fail_active() noexcept {
  bool moved = false;
  for (std::size_t i = 0; i < active_.size();) {
    Operation& operation = *active_[i];
    if (!operation.engine->has_let_go(operation)) {
      ++i;
      continue;
    }
    operation.failure = context_->failure_error();
    operation.failure.operation = operation.name();
    operation.failure.label = operation.request.label.data();
    operation.failure.elapsed = elapsed(operation);
    finish(operation, true);
    moved = true;
  }
  return moved;
}

/// Whether `operation` is a collective, or with `transfer` a receive from `world_peer`.
bool Group::is_met_by(const Operation& operation, int world_peer, bool transfer) const {
  if ((operation.request.collective == plan::Collective::send_recv) != transfer) return false;
  return !transfer ||
         (!operation.request.outgoing && members_[static_cast<std::size_t>(operation.request.root)] == world_peer);
}

void Group::heard(int world_peer, std::uint64_t sequence, const transport::Stamp& theirs) {
  if (sequence >= collectives_.next) {
    heard_.push_back({sequence, world_peer, theirs});
    return;
  }
  const auto ours = recorder_.signature(sequence);
  if (ours && !same_call(*ours, theirs)) mismatch(world_peer, sequence, *ours, theirs, false);
}

void Group::mismatch(int world_peer, std::uint64_t sequence, const transport::Stamp& ours,
                     const transport::Stamp& theirs, bool transfer) {
  const Operation* own = nullptr;
  for (Operation* operation : active_) {
    if (operation->sequence == sequence && is_met_by(*operation, world_peer, transfer)) {
      operation->stuck = true;
      own = operation;
    }
  }
  const std::string number = (transfer ? "send_recv #" : "operation #") + std::to_string(sequence);
  const std::string label = own != nullptr ? std::string(own->request.label.data())
                            : transfer     ? std::string()
                                           : recorder_.label(sequence);
  const int self = context_->options().rank;
  const auto called = [&](int rank, const transport::Stamp& stamp, const std::string& named) {
    return "rank " + std::to_string(rank) + " called " + describe(stamp) + (named.empty() ? "" : " '" + named + "'") +
           " on " + context_->host_of(rank);
  };
  std::string mine = called(self, ours, label);
  std::string other = called(world_peer, theirs, {});  // its label is not in the signature
  if (world_peer < self) std::swap(mine, other);       // the ranks in the same order on both sides
  context_->raise({.code = ErrorCode::mismatch,
                   .epoch = context_->options().epoch,
                   .communicator = id_,
                   .operation = sequence,
                   .member = world_peer,
                   .member_host = context_->host_of(world_peer),
                   .operation_name = own != nullptr ? own->title() : number + (label.empty() ? "" : " '" + label + "'"),
                   .message = "the ranks disagree on " + number + ": " + mine + "; " + other},
                  own);
}

}  // namespace trireme::comm
