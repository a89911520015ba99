// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/payload.hpp"
#include "ps/view.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/base/error.hpp"
#include "trireme/ps/key_plan.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

// What workers and servers say to each other after the handshake. On the wire a frame: u32 length of the control part, u64
// length of the payload, the control part (protobuf, proto/ps_wire.proto), the payload (raw little-endian elements).
namespace trireme::ps {

/// Stable for the life of a worker's process: rank in the high half, a random incarnation in the low.
using WorkerId = std::uint64_t;

// --- worker to server ---

/// The first message of a connection. A worker opens one to every event loop of every server.
struct Join {
  WorkerId worker = 0;
  std::uint32_t rank = 0;
  std::uint32_t workers = 1;  ///< bulk-synchronous: how many sum; must agree among them. Else a hint
  std::uint32_t leaves = 1;   ///< V of the canonical tree
  std::uint64_t plan_fingerprint = 0;
  std::string consistency{};      ///< Consistency::to_string(); must agree
  std::string settings{};         ///< what else must agree (optimizer and its settings), as one line
  std::uint64_t attempt = 0;      ///< ascending: a connection's Join that comes behind that of a later one is refused
  std::vector<std::byte> plan{};  ///< encode(KeyPlan), for a server that was started without one; may be empty
};
/// Values for a key that nobody has set yet (payload: values; then, restored from a checkpoint, the optimizer's state tensors one
/// after the other). On one that is set already nothing happens: the answer is the same Acknowledged.
struct Initialise {
  std::uint64_t sequence = 0;
  Key key = 0;
  std::uint64_t steps = 0;           ///< of the optimizer
  std::vector<std::string> state{};  ///< names of the state tensors in the payload, behind the values
};
/// Gradient of elements of a key (payload: elements in the accumulator's dtype; of `rows` alone, when sparse, in their order).
/// Bulk-synchronous: this worker's folded contribution, weighted, to the sum of `step`. Otherwise an update of its own.
struct Push {
  std::uint64_t sequence =
      0;  ///< ascending per worker; one of a key that was handled already is acknowledged, not applied
  Key key = 0;
  std::uint64_t step = 0;  ///< the worker's clock, from 1
  double weight = 0.0;     ///< of this worker's leaves in this step
  bool used = true;        ///< false: not ready on any own leaf; no payload, counts as zeros
  bool sparse = false;
  std::vector<std::uint32_t> rows{};  ///< ascending, within the tensor; sparse only
  // stale-synchronous and asynchronous:
  std::uint64_t pulled_version = 0;  ///< of the values the gradient was computed at
  double scale = 1.0;                ///< multiplies the gradient (clipping)
  double clip_value = 0.0;           ///< 0: none
  double learning_rate = 0.0;
};
/// Bulk-synchronous with the optimizer on servers: what to do with the sum of `step`. All workers send the same; the first that
/// arrives is applied.
struct Update {
  std::uint64_t sequence = 0;
  Key key = 0;
  std::uint64_t step = 0;
  bool skip = false;
  double scale = 1.0;
  double clip_value = 0.0;
  double learning_rate = 0.0;
};
/// Asks for values as of clock `step`: answered once the consistency allows. `rows`: these alone (sparse).
struct Pull {
  std::uint64_t request = 0;
  Key key = 0;
  std::uint64_t step = 0;
  bool sparse = false;
  std::vector<std::uint32_t> rows{};
};
/// Asks for values and optimizer state of a key, for a checkpoint.
struct ReadState {
  std::uint64_t request = 0;
  Key key = 0;
};
/// No room in the window: may (step, key) be sent? Answered by Grant, in the order sums need them. A worker offers all that is
/// ready, without waiting for one grant before the next offer: a sum that has room waits for all its contributions.
/// The window counts payloads of Push alone. What was offered is sent by its grant, whatever room the window has by then; a grant
/// for what is not offered any more (keys are served elsewhere) says nothing.
struct Offer {
  Key key = 0;
  std::uint64_t step = 0;
  std::uint64_t bytes = 0;
};
/// Whom does this server wait for before it can go on with (step, key)? From a worker that has waited for too long; answered at once, by
/// Awaited.
struct AskAwaited {
  std::uint64_t request = 0;
  Key key = 0;
  std::uint64_t step = 0;
};
/// This worker ends: in order, so that nobody waits for its clock any more, or in the midst of its work: then it is lost, and comes
/// back by no other connection.
struct Leave {
  bool lost = false;
};

// --- server to worker ---

/// The answer to Join.
struct Welcome {
  std::uint64_t server_incarnation = 0;
  std::uint64_t window_bytes = 0;  ///< payload that may be under way unasked
};
struct Refused {
  ErrorCode code = ErrorCode::none;
  std::string message{};
};
/// Initialise, Push or Update `sequence` will survive the death of any one server (where there are replicas).
struct Acknowledged {
  std::uint64_t sequence = 0;
};
/// Bulk-synchronous: the sum of `step` is complete. Payload: as a summation service the mean (sum / total weight), in the
/// accumulator's dtype, unless the total weight is 0: then there is none; with the optimizer on servers nothing. May come again
/// after a worker has come back or has repeated its push.
struct Reduced {
  Key key = 0;
  std::uint64_t step = 0;
  double total_weight = 0.0;
  std::uint32_t used_by = 0;         ///< workers with used = true
  std::vector<double> block_sums{};  ///< squares of the mean, per block of 4096 elements: optimizer on servers only
  bool sparse = false;               ///< the payload has `rows` alone; of all others the mean is +0
  std::vector<std::uint32_t> rows{};
};
/// Answer to Pull. Payload: values in their dtype.
struct Values {
  std::uint64_t request = 0;
  Key key = 0;
  std::uint64_t version = 0;  ///< updates applied so far
  std::uint64_t clock = 0;    ///< every push of this clock or before is in it
};
/// Answer to ReadState. Payload: values, then the named state tensors.
struct State {
  std::uint64_t request = 0;
  Key key = 0;
  std::uint64_t version = 0;
  std::uint64_t steps = 0;
  std::vector<std::string> state{};
  std::vector<std::uint64_t> bytes{};  ///< of the values and of each state tensor
};
/// Answer to AskAwaited.
struct Awaited {
  std::uint64_t request = 0;
  Key key = 0;
  std::vector<std::uint32_t> ranks{};      ///< workers, ascending: those whose pushes are missing
  std::optional<std::uint32_t> replica{};  ///< the server that has not acknowledged all that was decided
  bool lacks_values = false;               ///< nobody has given the key its initial ones
};
/// So much of the window is free again; or the offer (key, step) may be sent whatever the window says.
struct Grant {
  std::uint64_t bytes = 0;
  bool for_offer = false;
  Key key = 0;
  std::uint64_t step = 0;
};
/// `closed`: another server serves the key, or, without a sequence, keys that this one had (see View).
struct Failed {
  std::uint64_t sequence = 0;  ///< or request; 0: the connection ends
  ErrorCode code = ErrorCode::none;
  std::string message{};
  /// `closed`: whose keys are not served here, the last view of them that is known here (0: none), and whom that leads to.
  std::optional<std::uint32_t> server{};
  std::uint64_t view = 0;
  std::optional<std::uint32_t> ask{};
};

// --- server to server ---

/// The primary's decision number `order` about `key`: what the replica applies, in order, with the same kernels, so that its
/// bits are the primary's. `inner` is the worker's message (encoded, without its payload, which is this one's payload).
struct Replicate {
  std::uint32_t server = 0;  ///< whose keys
  std::uint64_t view = 0;    ///< with `link`: which stream of decisions, as Transfer began it
  std::uint64_t link = 0;
  std::uint64_t order = 0;
  WorkerId worker = 0;
  std::vector<std::byte> inner{};
};
struct ReplicaAcknowledged {
  std::uint32_t server = 0;  ///< whose keys
  std::uint64_t view = 0;
  std::uint64_t link = 0;
  std::uint64_t order = 0;
  std::uint32_t by = 0;  ///< who has it
  std::uint64_t incarnation = 0;
};
/// The primary tells its replica that it is one.
struct Membership {
  View view{};
};
/// From a worker that does not reach who served the keys of `server`: they are to be served here. A replica is, once that is decided
/// (see View), and the primary then knows, or will, that it can acknowledge nothing any more; others answer Failed with `closed`
/// and whom to ask. Each loop is told by itself. One that serves them already goes on.
struct TakeOver {
  std::uint32_t server = 0;
  std::optional<std::uint32_t> lost{};  ///< whom the worker does not reach
};
/// Values, state, version, clocks and handled sequences of one key, and what is under way for it. Payload: what `bytes` lists:
/// values (of a key that has some), state tensors, what results carry, what pushes carry. The last one of a stream has no key. A
/// primary gives it to whoever is to be its replica; its Replicates follow.
struct Transfer {
  std::uint32_t server = 0;       ///< whose keys
  std::uint64_t link = 0;         ///< with `view`: the stream
  std::uint32_t primary = 0;      ///< the sender, who serves them in `view`, without a replica
  std::uint64_t incarnation = 0;  ///< the sender's
  bool has_key = false;
  bool more = false;  ///< of this key: its results and pushes go on in the next
  bool initialised = false;
  std::uint64_t clock = 0;                        ///< bulk-synchronous: the last step that was updated, or passed over
  std::uint64_t summed = 0;                       ///< the last step that was summed
  bool marked = false;                            ///< its update has come, those of the tensor's other keys not all
  std::vector<std::vector<std::byte>> results{};  ///< Reduced, encoded
  std::vector<std::vector<std::byte>> pushes{};   ///< Push, encoded, of sums that are not complete
  std::vector<WorkerId> pushed_by{};
  Key key = 0;
  bool last = false;
  std::uint64_t view = 0;
  std::uint64_t order = 0;
  std::uint64_t version = 0;
  std::uint64_t steps = 0;
  std::vector<std::string> state{};
  std::vector<std::uint64_t> bytes{};
  std::vector<WorkerId> workers{};
  std::vector<std::uint64_t> clocks{};
  std::vector<std::uint64_t> sequences{};
};

using Control = std::variant<Join, Initialise, Push, Update, Pull, ReadState, Offer, Leave, Welcome, Refused,
                             Acknowledged, Reduced, Values, State, Grant, Failed, Replicate, ReplicaAcknowledged,
                             TakeOver, Transfer, Membership, AskAwaited, Awaited>;

struct Message {
  Control control;
  Payload payload{};
};

}  // namespace trireme::ps
