// SPDX-License-Identifier: Apache-2.0
#include "ps/wire.hpp"

#include "ps_wire.pb.h"
#include "trireme/base/error.hpp"
#include "trireme/net/wire.hpp"

#include <algorithm>
#include <limits>
#include <string>

namespace trireme::ps {
namespace {

[[noreturn]] void fail_corrupt(const std::string& what) {
  fail(ErrorCode::corrupt, "a message of the parameter server " + what);
}

// --- to protobuf ---

void put_rows(const std::vector<std::uint32_t>& rows, google::protobuf::RepeatedField<std::uint32_t>& gaps) {
  gaps.Reserve(static_cast<int>(std::min<std::size_t>(rows.size(), most_control_bytes)));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i > 0 && rows[i] <= rows[i - 1])
      fail(ErrorCode::invalid_argument, "row " + std::to_string(rows[i]) + " stands behind row " +
                                            std::to_string(rows[i - 1]) + ": rows must ascend");
    gaps.Add(i == 0 ? rows[i] : rows[i] - rows[i - 1]);
  }
}

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct ToProto {
  proto::Control& to;

  void operator()(const Join& from) const {
    proto::Join& join = *to.mutable_join();
    join.set_worker(from.worker);
    join.set_rank(from.rank);
    join.set_workers(from.workers);
    join.set_leaves(from.leaves);
    join.set_plan_fingerprint(from.plan_fingerprint);
    join.set_consistency(from.consistency);
    join.set_settings(from.settings);
    join.set_attempt(from.attempt);
    join.set_plan(text_of(from.plan));
  }
  void operator()(const Initialise& from) const {
    proto::Initialise& initialise = *to.mutable_initialise();
    initialise.set_sequence(from.sequence);
    initialise.set_key(from.key);
    initialise.set_steps(from.steps);
    for (const std::string& name : from.state) initialise.add_state(name);
  }
  void operator()(const Push& from) const {
    proto::Push& push = *to.mutable_push();
    push.set_sequence(from.sequence);
    push.set_key(from.key);
    push.set_step(from.step);
    push.set_weight(from.weight);
    push.set_used(from.used);
    push.set_sparse(from.sparse);
    put_rows(from.rows, *push.mutable_row_gaps());
    push.set_pulled_version(from.pulled_version);
    push.set_scale(from.scale);
    push.set_clip_value(from.clip_value);
    push.set_learning_rate(from.learning_rate);
  }
  void operator()(const Update& from) const {
    proto::Update& update = *to.mutable_update();
    update.set_sequence(from.sequence);
    update.set_key(from.key);
    update.set_step(from.step);
    update.set_skip(from.skip);
    update.set_scale(from.scale);
    update.set_clip_value(from.clip_value);
    update.set_learning_rate(from.learning_rate);
  }
  void operator()(const Pull& from) const {
    proto::Pull& pull = *to.mutable_pull();
    pull.set_request(from.request);
    pull.set_key(from.key);
    pull.set_step(from.step);
    pull.set_sparse(from.sparse);
    put_rows(from.rows, *pull.mutable_row_gaps());
  }
  void operator()(const ReadState& from) const {
    to.mutable_read_state()->set_request(from.request);
    to.mutable_read_state()->set_key(from.key);
  }
  void operator()(const Offer& from) const {
    to.mutable_offer()->set_key(from.key);
    to.mutable_offer()->set_step(from.step);
    to.mutable_offer()->set_bytes(from.bytes);
  }
  void operator()(const Leave& from) const { to.mutable_leave()->set_lost(from.lost); }
  void operator()(const Welcome& from) const {
    to.mutable_welcome()->set_server_incarnation(from.server_incarnation);
    to.mutable_welcome()->set_window_bytes(from.window_bytes);
  }
  void operator()(const Refused& from) const {
    to.mutable_refused()->set_code(static_cast<std::uint32_t>(from.code));
    to.mutable_refused()->set_message(from.message);
  }
  void operator()(const Acknowledged& from) const { to.mutable_acknowledged()->set_sequence(from.sequence); }
  void operator()(const Reduced& from) const {
    proto::Reduced& reduced = *to.mutable_reduced();
    reduced.set_key(from.key);
    reduced.set_step(from.step);
    reduced.set_total_weight(from.total_weight);
    reduced.set_used_by(from.used_by);
    reduced.mutable_block_sums()->Add(from.block_sums.begin(), from.block_sums.end());
    reduced.set_sparse(from.sparse);
    put_rows(from.rows, *reduced.mutable_row_gaps());
  }
  void operator()(const Values& from) const {
    proto::Values& values = *to.mutable_values();
    values.set_request(from.request);
    values.set_key(from.key);
    values.set_version(from.version);
    values.set_clock(from.clock);
  }
  void operator()(const State& from) const {
    proto::State& state = *to.mutable_state();
    state.set_request(from.request);
    state.set_key(from.key);
    state.set_version(from.version);
    state.set_steps(from.steps);
    for (const std::string& name : from.state) state.add_state(name);
    state.mutable_bytes()->Add(from.bytes.begin(), from.bytes.end());
  }
  void operator()(const Grant& from) const {
    proto::Grant& grant = *to.mutable_grant();
    grant.set_bytes(from.bytes);
    grant.set_for_offer(from.for_offer);
    grant.set_key(from.key);
    grant.set_step(from.step);
  }
  void operator()(const Failed& from) const {
    to.mutable_failed()->set_sequence(from.sequence);
    to.mutable_failed()->set_code(static_cast<std::uint32_t>(from.code));
    to.mutable_failed()->set_message(from.message);
    if (from.server) to.mutable_failed()->set_server_plus_1(std::uint64_t{*from.server} + 1);
    to.mutable_failed()->set_view(from.view);
    if (from.ask) to.mutable_failed()->set_ask_plus_1(std::uint64_t{*from.ask} + 1);
  }
  void operator()(const Replicate& from) const {
    proto::Replicate& replicate = *to.mutable_replicate();
    replicate.set_server(from.server);
    replicate.set_view(from.view);
    replicate.set_link(from.link);
    replicate.set_order(from.order);
    replicate.set_worker(from.worker);
    replicate.set_inner(text_of(from.inner));
  }
  void operator()(const ReplicaAcknowledged& from) const {
    proto::ReplicaAcknowledged& acknowledged = *to.mutable_replica_acknowledged();
    acknowledged.set_server(from.server);
    acknowledged.set_view(from.view);
    acknowledged.set_link(from.link);
    acknowledged.set_order(from.order);
    acknowledged.set_by(from.by);
    acknowledged.set_incarnation(from.incarnation);
  }
  void operator()(const TakeOver& from) const {
    to.mutable_take_over()->set_server(from.server);
    if (from.lost) to.mutable_take_over()->set_lost_plus_1(std::uint64_t{*from.lost} + 1);
  }
  void operator()(const Membership& from) const {
    proto::Membership& membership = *to.mutable_membership();
    membership.set_server(from.view.server);
    membership.set_number(from.view.number);
    membership.set_primary(from.view.primary.server);
    membership.set_primary_incarnation(from.view.primary.incarnation);
    if (!from.view.replica) return;
    membership.set_replica_plus_1(std::uint64_t{from.view.replica->server} + 1);
    membership.set_replica_incarnation(from.view.replica->incarnation);
  }
  void operator()(const AskAwaited& from) const {
    to.mutable_ask_awaited()->set_request(from.request);
    to.mutable_ask_awaited()->set_key(from.key);
    to.mutable_ask_awaited()->set_step(from.step);
  }
  void operator()(const Awaited& from) const {
    proto::Awaited& awaited = *to.mutable_awaited();
    awaited.set_request(from.request);
    awaited.set_key(from.key);
    awaited.mutable_ranks()->Add(from.ranks.begin(), from.ranks.end());
    if (from.replica) awaited.set_replica_plus_1(std::uint64_t{*from.replica} + 1);
    awaited.set_lacks_values(from.lacks_values);
  }
  void operator()(const Transfer& from) const {
    proto::Transfer& transfer = *to.mutable_transfer();
    transfer.set_key(from.key);
    transfer.set_last(from.last);
    transfer.set_view(from.view);
    transfer.set_order(from.order);
    transfer.set_version(from.version);
    transfer.set_steps(from.steps);
    for (const std::string& name : from.state) transfer.add_state(name);
    transfer.mutable_bytes()->Add(from.bytes.begin(), from.bytes.end());
    transfer.mutable_workers()->Add(from.workers.begin(), from.workers.end());
    transfer.mutable_clocks()->Add(from.clocks.begin(), from.clocks.end());
    transfer.mutable_sequences()->Add(from.sequences.begin(), from.sequences.end());
    transfer.set_server(from.server);
    transfer.set_link(from.link);
    transfer.set_primary(from.primary);
    transfer.set_incarnation(from.incarnation);
    transfer.set_more(from.more);
    transfer.set_has_key(from.has_key);
    transfer.set_initialised(from.initialised);
    transfer.set_clock(from.clock);
    transfer.set_summed(from.summed);
    transfer.set_marked(from.marked);
    for (const auto& result : from.results) transfer.add_results(text_of(result));
    for (const auto& push : from.pushes) transfer.add_pushes(text_of(push));
    transfer.mutable_pushed_by()->Add(from.pushed_by.begin(), from.pushed_by.end());
  }
};

// --- from protobuf ---

/// Each row has elements, of at least a byte: so many rows as there are bytes at most, unless none travel (a pull).
std::vector<std::uint32_t> rows_of(const google::protobuf::RepeatedField<std::uint32_t>& gaps, std::uint64_t most) {
  if (static_cast<std::uint64_t>(gaps.size()) > most) fail_corrupt("lists more rows than it has bytes");
  std::vector<std::uint32_t> rows;
  rows.reserve(static_cast<std::size_t>(gaps.size()));
  for (const std::uint32_t gap : gaps) {
    if (!rows.empty() && (gap == 0 || gap > std::numeric_limits<std::uint32_t>::max() - rows.back()))
      fail_corrupt("lists rows that do not ascend");
    rows.push_back(rows.empty() ? gap : rows.back() + gap);
  }
  return rows;
}

template <class Names>
std::vector<std::string> names_of(const Names& names) {
  return {names.begin(), names.end()};
}

/// Lengths that together are the payload's.
std::vector<std::uint64_t> parts_of(const google::protobuf::RepeatedField<std::uint64_t>& bytes,
                                    std::uint64_t payload) {
  std::uint64_t left = payload;
  for (const std::uint64_t part : bytes) {
    if (part > left) fail_corrupt("describes more bytes than it carries");
    left -= part;
  }
  if (left != 0) fail_corrupt("carries more bytes than it describes");
  return {bytes.begin(), bytes.end()};
}

ErrorCode code_of(std::uint32_t value) {
  if (value > static_cast<std::uint32_t>(ErrorCode::corrupt)) fail_corrupt("bears an unknown error code");
  return static_cast<ErrorCode>(value);
}

std::optional<std::uint32_t> server_of(std::uint64_t plus_1) {
  if (plus_1 == 0) return std::nullopt;
  if (plus_1 - 1 > std::numeric_limits<std::uint32_t>::max()) fail_corrupt("names a server beyond 32 bits");
  return static_cast<std::uint32_t>(plus_1 - 1);
}

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

Transfer transfer_of(const proto::Transfer& from, std::uint64_t payload) {
  Transfer transfer{.server = from.server(),
                    .link = from.link(),
                    .primary = from.primary(),
                    .incarnation = from.incarnation(),
                    .has_key = from.has_key(),
                    .more = from.more(),
                    .initialised = from.initialised(),
                    .clock = from.clock(),
                    .summed = from.summed(),
                    .marked = from.marked(),
                    .results = {},
                    .pushes = {},
                    .pushed_by{from.pushed_by().begin(), from.pushed_by().end()},
                    .key = from.key(),
                    .last = from.last(),
                    .view = from.view(),
                    .order = from.order(),
                    .version = from.version(),
                    .steps = from.steps(),
                    .state = names_of(from.state()),
                    .bytes = parts_of(from.bytes(), payload),
                    .workers{from.workers().begin(), from.workers().end()},
                    .clocks{from.clocks().begin(), from.clocks().end()},
                    .sequences{from.sequences().begin(), from.sequences().end()}};
  for (const std::string& result : from.results()) transfer.results.push_back(bytes_of(result));
  for (const std::string& push : from.pushes()) transfer.pushes.push_back(bytes_of(push));
  if (transfer.pushed_by.size() != transfer.pushes.size()) fail_corrupt("tells other numbers of pushes and workers");
  if (transfer.clocks.size() != transfer.workers.size() || transfer.sequences.size() != transfer.workers.size())
    fail_corrupt("tells other numbers of workers, clocks and sequences");
  return transfer;
}

Membership membership_of(const proto::Membership& from) {
  View view{.server = from.server(),
            .number = from.number(),
            .primary = {.server = from.primary(), .incarnation = from.primary_incarnation()}};
  if (const auto replica = server_of(from.replica_plus_1()))
    view.replica = Holder{.server = *replica, .incarnation = from.replica_incarnation()};
  if (!view.replica && from.replica_incarnation() != 0) fail_corrupt("names a replica that is none");
  return {view};
}

Control from_proto(const proto::Control& from, std::uint64_t payload) {
  switch (from.kind_case()) {
    case proto::Control::kJoin: {
      const proto::Join& join = from.join();
      return Join{.worker = join.worker(),
                  .rank = join.rank(),
                  .workers = join.workers(),
                  .leaves = join.leaves(),
                  .plan_fingerprint = join.plan_fingerprint(),
                  .consistency = join.consistency(),
                  .settings = join.settings(),
                  .attempt = join.attempt(),
                  .plan = bytes_of(join.plan())};
    }
    case proto::Control::kInitialise:
      return Initialise{.sequence = from.initialise().sequence(),
                        .key = from.initialise().key(),
                        .steps = from.initialise().steps(),
                        .state = names_of(from.initialise().state())};
    case proto::Control::kPush: {
      const proto::Push& push = from.push();
      return Push{.sequence = push.sequence(),
                  .key = push.key(),
                  .step = push.step(),
                  .weight = push.weight(),
                  .used = push.used(),
                  .sparse = push.sparse(),
                  .rows = rows_of(push.row_gaps(), payload),
                  .pulled_version = push.pulled_version(),
                  .scale = push.scale(),
                  .clip_value = push.clip_value(),
                  .learning_rate = push.learning_rate()};
    }
    case proto::Control::kUpdate: {
      const proto::Update& update = from.update();
      return Update{.sequence = update.sequence(),
                    .key = update.key(),
                    .step = update.step(),
                    .skip = update.skip(),
                    .scale = update.scale(),
                    .clip_value = update.clip_value(),
                    .learning_rate = update.learning_rate()};
    }
    case proto::Control::kPull: {
      const proto::Pull& pull = from.pull();
      return Pull{.request = pull.request(),
                  .key = pull.key(),
                  .step = pull.step(),
                  .sparse = pull.sparse(),
                  .rows = rows_of(pull.row_gaps(), most_control_bytes)};
    }
    case proto::Control::kReadState:
      return ReadState{.request = from.read_state().request(), .key = from.read_state().key()};
    case proto::Control::kOffer:
      return Offer{.key = from.offer().key(), .step = from.offer().step(), .bytes = from.offer().bytes()};
    case proto::Control::kLeave: return Leave{.lost = from.leave().lost()};
    case proto::Control::kWelcome:
      return Welcome{.server_incarnation = from.welcome().server_incarnation(),
                     .window_bytes = from.welcome().window_bytes()};
    case proto::Control::kRefused:
      return Refused{.code = code_of(from.refused().code()), .message = from.refused().message()};
    case proto::Control::kAcknowledged: return Acknowledged{.sequence = from.acknowledged().sequence()};
    case proto::Control::kReduced: {
      const proto::Reduced& reduced = from.reduced();
      return Reduced{.key = reduced.key(),
                     .step = reduced.step(),
                     .total_weight = reduced.total_weight(),
                     .used_by = reduced.used_by(),
                     .block_sums{reduced.block_sums().begin(), reduced.block_sums().end()},
                     .sparse = reduced.sparse(),
                     .rows = rows_of(reduced.row_gaps(), payload)};
    }
    case proto::Control::kValues:
      return Values{.request = from.values().request(),
                    .key = from.values().key(),
                    .version = from.values().version(),
                    .clock = from.values().clock()};
    case proto::Control::kState:
      return State{.request = from.state().request(),
                   .key = from.state().key(),
                   .version = from.state().version(),
                   .steps = from.state().steps(),
                   .state = names_of(from.state().state()),
                   .bytes = parts_of(from.state().bytes(), payload)};
    case proto::Control::kGrant:
      return Grant{.bytes = from.grant().bytes(),
                   .for_offer = from.grant().for_offer(),
                   .key = from.grant().key(),
                   .step = from.grant().step()};
    case proto::Control::kFailed:
      return Failed{.sequence = from.failed().sequence(),
                    .code = code_of(from.failed().code()),
                    .message = from.failed().message(),
                    .server = server_of(from.failed().server_plus_1()),
                    .view = from.failed().view(),
                    .ask = server_of(from.failed().ask_plus_1())};
    case proto::Control::kReplicate:
      return Replicate{.server = from.replicate().server(),
                       .view = from.replicate().view(),
                       .link = from.replicate().link(),
                       .order = from.replicate().order(),
                       .worker = from.replicate().worker(),
                       .inner = bytes_of(from.replicate().inner())};
    case proto::Control::kReplicaAcknowledged:
      return ReplicaAcknowledged{.server = from.replica_acknowledged().server(),
                                 .view = from.replica_acknowledged().view(),
                                 .link = from.replica_acknowledged().link(),
                                 .order = from.replica_acknowledged().order(),
                                 .by = from.replica_acknowledged().by(),
                                 .incarnation = from.replica_acknowledged().incarnation()};
    case proto::Control::kTakeOver:
      return TakeOver{.server = from.take_over().server(), .lost = server_of(from.take_over().lost_plus_1())};
    case proto::Control::kTransfer: return transfer_of(from.transfer(), payload);
    case proto::Control::kMembership: return membership_of(from.membership());
    case proto::Control::kAskAwaited:
      return AskAwaited{
          .request = from.ask_awaited().request(), .key = from.ask_awaited().key(), .step = from.ask_awaited().step()};
    case proto::Control::kAwaited:
      return Awaited{.request = from.awaited().request(),
                     .key = from.awaited().key(),
                     .ranks{from.awaited().ranks().begin(), from.awaited().ranks().end()},
                     .replica = server_of(from.awaited().replica_plus_1()),
                     .lacks_values = from.awaited().lacks_values()};
    case proto::Control::KIND_NOT_SET: break;
  }
  fail_corrupt("says nothing");
}

void serialise(const proto::Control& message, std::span<std::byte> to) {
  if (!message.SerializeToArray(to.data(), static_cast<int>(to.size())))
    fail(ErrorCode::system, "a message of the parameter server could not be put into bytes");
}

std::vector<std::byte> encode_behind(const Control& control, std::size_t room) {
  proto::Control message;
  std::visit(ToProto{message}, control);
  const std::size_t length = message.ByteSizeLong();
  const bool holds_others = std::holds_alternative<Replicate>(control) || std::holds_alternative<Transfer>(control);
  const std::size_t most = holds_others ? most_server_control_bytes : most_control_bytes;
  if (length > most)
    fail(ErrorCode::invalid_argument, "a message of the parameter server has " + std::to_string(length) +
                                          " bytes beside its elements; the most is " + std::to_string(most) +
                                          " (smaller partitions need fewer)");
  std::vector<std::byte> bytes(room + length);
  serialise(message, std::span(bytes).subspan(room));
  return bytes;
}

}  // namespace

std::array<std::byte, FrameHead::size> encode_head(const FrameHead& head) {
  std::array<std::byte, FrameHead::size> bytes;
  for (std::size_t i = 0; i < 4; ++i) bytes[i] = static_cast<std::byte>(head.control_bytes >> (8 * i));
  for (std::size_t i = 0; i < 8; ++i) bytes[4 + i] = static_cast<std::byte>(head.payload_bytes >> (8 * i));
  return bytes;
}

FrameHead parse_head(std::span<const std::byte, FrameHead::size> bytes, std::uint64_t payload_limit,
                     std::size_t control_limit) {
  net::Reader reader(bytes);
  FrameHead head;
  head.control_bytes = reader.u32();
  head.payload_bytes = reader.u64();
  if (head.control_bytes > control_limit)
    fail_corrupt("claims " + std::to_string(head.control_bytes) + " bytes of control");
  if (head.payload_bytes > payload_limit)
    fail_corrupt("claims " + std::to_string(head.payload_bytes) + " bytes of payload; the most here is " +
                 std::to_string(payload_limit));
  return head;
}

std::vector<std::byte> encode(const Control& control) { return encode_behind(control, 0); }

std::vector<std::byte> encode_frame(const Control& control, std::uint64_t payload_bytes) {
  std::vector<std::byte> bytes = encode_behind(control, FrameHead::size);
  const auto head = encode_head(
      {.control_bytes = static_cast<std::uint32_t>(bytes.size() - FrameHead::size), .payload_bytes = payload_bytes});
  std::copy(head.begin(), head.end(), bytes.begin());
  return bytes;
}

Control decode(std::span<const std::byte> control, std::uint64_t payload_bytes, std::size_t control_limit) {
  proto::Control message;
  if (control.size() > control_limit || !message.ParseFromArray(control.data(), static_cast<int>(control.size())))
    fail_corrupt("cannot be read");
  return from_proto(message, payload_bytes);
}

}  // namespace trireme::ps
