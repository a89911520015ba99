// SPDX-License-Identifier: Apache-2.0
// What the rendezvous server and its clients do with what a peer sends. The first byte of an input chooses what the rest
// is given to.
#include "fuzz_target.hpp"
#include "rendezvous/frame_reader.hpp"
#include "rendezvous/protocol.hpp"
#include "rendezvous/store_service.hpp"
#include "trireme/net/wire.hpp"
#include "trireme/rendezvous/coordinator.hpp"

#include <algorithm>
#include <span>

using namespace trireme;
using namespace trireme::rendezvous;

namespace {

using Input = std::span<const std::byte>;

template <class Message>
void encode_again(const std::optional<Message>& message, Input bytes) {
  if (!message) return;
  Bytestring again = encode(*message);
  promise(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()), "a message has one encoding");
}

/// The first byte is the size of the pieces in which the rest arrives.
void cut_into_frames(Input bytes) {
  constexpr std::size_t limit = 64;
  if (bytes.empty()) return;
  std::size_t piece = 1 + std::to_integer<std::size_t>(bytes.front());
  bytes = bytes.subspan(1);
  FrameReader whole(limit), pieces(limit);
  whole.append(bytes);
  for (Input rest = bytes; !rest.empty(); rest = rest.subspan(std::min(piece, rest.size()))) {
    pieces.append(rest.first(std::min(piece, rest.size())));
  }
  std::size_t taken = 0;
  while (auto frame = whole.next()) {
    promise(frame->size() <= limit, "no frame is above the limit");
    promise(pieces.next() == frame, "frames do not depend on how the bytes arrive");
    taken += 4 + frame->size();
  }
  promise(taken <= bytes.size(), "no more is read than there is");
  promise(!pieces.next() && pieces.is_corrupt() == whole.is_corrupt(), "corrupt is corrupt however the bytes arrive");
}

/// Each message, behind a byte for its sender and a u16 for its length, comes to a server of four ranks.
void converse(Input bytes) {
  constexpr int world_size = 4;
  Coordinator coordinator({.world_size = world_size});
  StoreService store;
  Coordinator::Clock::time_point now{};
  int published = 0;
  auto turn = [&] {
    for (int rank : coordinator.poll(now).query)
      promise(rank >= 0 && rank < world_size, "only ranks of the world are asked");
    now += std::chrono::milliseconds(10);
  };
  for (int rank = 0; rank < world_size - 1; ++rank) coordinator.joined(rank, "host");
  net::Reader in(bytes);
  while (!in.finished() && in.ok()) {
    int rank = in.u8() % world_size;
    auto message = parse_client_message(in.bytes(in.u16()));
    auto connection = static_cast<std::uint64_t>(rank);
    if (!message) {
      coordinator.lost(rank, "", now);
    } else if (auto* hello = std::get_if<Hello>(&*message)) {
      promise(coordinator.refusal(rank) || !coordinator.everyone_joined(), "who may still join was missing");
      coordinator.joined(rank, hello->host);
    } else if (auto* set = std::get_if<SetRequest>(&*message)) {
      for (const auto& outgoing : store.set(connection, *set))
        promise(outgoing.connection < world_size, "answers go to who asked");
    } else if (auto* get = std::get_if<GetRequest>(&*message)) {
      promise(store.get(connection, *get).size() <= 1, "a request has at most one answer");
    } else if (auto* add = std::get_if<AddRequest>(&*message)) {
      promise(store.add(connection, *add).size() == 1, "an addition is answered at once");
    } else if (auto* report = std::get_if<Report>(&*message)) {
      coordinator.reported(rank, report->cause, now);
    } else if (auto* answer = std::get_if<Answer>(&*message)) {
      answer->status.rank = rank;
      coordinator.answered(answer->status);
    } else if (std::holds_alternative<Leave>(*message)) {
      coordinator.left(rank);
    } else {
      coordinator.lost(rank, "an exception closed its World", now);
    }
    turn();
  }
  bool failed = coordinator.next_moment() || coordinator.verdict();
  while (auto moment = coordinator.next_moment()) {
    promise(moment >= now - std::chrono::milliseconds(10), "time does not run backwards");
    now = std::max(now, *moment);
    if (coordinator.poll(now).publish) ++published;
  }
  promise(published <= 1 && failed == coordinator.verdict().has_value(), "a failed world has one verdict");
  if (failed) promise(!coordinator.verdict()->message.empty(), "a verdict says what happened");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Input bytes = std::as_bytes(std::span(data, size)).subspan(1);
  switch (data[0] % 4) {
    case 0: encode_again(parse_client_message(bytes), bytes); break;
    case 1: encode_again(parse_server_message(bytes), bytes); break;
    case 2: cut_into_frames(bytes); break;
    default: converse(bytes); break;
  }
  return 0;
}
