// SPDX-License-Identifier: Apache-2.0
// What an endpoint does with a peer that is broken or hostile.
#include "support/endpoints.hpp"
#include "support/hostile_session.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <functional>
#include <random>

using namespace trireme;
using testing::ByteLink;
using testing::HostileSession;
using transport::Endpoint;
using transport::FrameHeader;
using transport::FrameType;
using transport::MessageKey;
using transport::ReceiveRequest;
using transport::RequestState;
using transport::SendRequest;
using transport::Stamp;

namespace {

constexpr Stamp stamp{{1, 2, 3}};
constexpr MessageKey key{1, 0, 5};

/// An endpoint with one raw link, a posted receive of 1000 bytes (streamed) and a send of 1000 (offered), both under way.
struct Session {
  explicit Session(Endpoint::Options options = {.eager_bytes = 256,
                                                .stream_eager_bytes = 256,
                                                .piece_bytes = 128,
                                                .unexpected_bytes = 2048},
                   bool lends = true)
      : endpoint(0, 2, std::make_shared<transport::Doorbell>(), options) {
    auto made = std::make_unique<ByteLink>();
    link = made.get();
    link->peer_memory = peer_memory;
    link->streams = !lends;
    endpoint.attach(1, std::move(made));
    endpoint.set_listener(&heard);
    receive.peer = 1;
    receive.key = key;
    receive.stamp = stamp;
    receive.destination = target.data();
    receive.bytes = target.size();
    endpoint.receive(receive);
    send.peer = 1;
    send.key = {1, 1, 5};
    send.stamp = stamp;
    send.data = source.data();
    send.bytes = source.size();
    endpoint.send(send);
    progress();
  }
  void feed(const FrameHeader& header, std::size_t payload = 0) {
    link->feed({reinterpret_cast<const std::byte*>(&header), sizeof header});
    link->feed(std::vector<std::byte>(payload, std::byte{7}));
    progress();
  }
  void progress() {
    for (int i = 0; i < 200; ++i) endpoint.progress();
  }
  static FrameHeader frame(FrameType type, MessageKey with, std::uint64_t bytes, std::uint32_t inlined = 0,
                           std::uint64_t token = 0) {
    FrameHeader header;
    header.type = type;
    header.communicator = with.communicator;
    header.index = with.index;
    header.operation = with.operation;
    header.bytes = bytes;
    header.inline_bytes = inlined;
    header.token = token;
    header.stamp = stamp;
    return header;
  }

  std::vector<std::byte> target = std::vector<std::byte>(1000);
  std::vector<std::byte> source = std::vector<std::byte>(1000);
  std::vector<std::byte> peer_memory = std::vector<std::byte>(2000);
  testing::Heard heard;
  Endpoint endpoint;
  ByteLink* link = nullptr;
  ReceiveRequest receive;
  SendRequest send;
};

}  // namespace

TEST_CASE("what is not this protocol gives up the peer, fails its requests and says what came") {
  struct Violation {
    const char* what;
    std::function<void(Session&)> commit;
  };
  const MessageKey sent{1, 1, 5};
  const MessageKey nobodys{1, 99, 5};
  const std::vector<Violation> violations{
      {"a frame without its magic number",
       [](Session& s) {
         s.feed([] {
           auto f = Session::frame(FrameType::note, key, 0);
           f.magic = 0;
           return f;
         }());
       }},
      {"a frame of an unknown type", [](Session& s) { s.feed(Session::frame(static_cast<FrameType>(9), key, 0)); }},
      {"a message of an impossible size",
       [](Session& s) { s.feed(Session::frame(FrameType::offer, key, std::uint64_t{1} << 60)); }},
      {"an eager message of an impossible size",
       [](Session& s) { s.feed(Session::frame(FrameType::message, key, 1000, 1000), 1000); }},
      {"an eager message of an impossible size",
       [](Session& s) { s.feed(Session::frame(FrameType::message, key, 1000, 100), 100); }},
      {"payload where none belongs", [](Session& s) { s.feed(Session::frame(FrameType::offer, key, 1000, 10), 10); }},
      {"an offer of what fits a message", [](Session& s) { s.feed(Session::frame(FrameType::offer, key, 0)); }},
      {"an offer of what fits a message", [](Session& s) { s.feed(Session::frame(FrameType::offer, key, 256)); }},
      {"a piece of no message that was accepted",
       [](Session& s) { s.feed(Session::frame(FrameType::data, key, 1000, 128, 0), 128); }},
      {"a piece of no message that was accepted",
       [](Session& s) {
         s.feed(Session::frame(FrameType::offer, key, 1000));
         s.feed(Session::frame(FrameType::data, key, 2000, 128, 0), 128);  // of a longer message
       }},
      {"a piece of no message that was accepted",
       [](Session& s) {
         s.feed(Session::frame(FrameType::offer, key, 1000));
         auto piece = Session::frame(FrameType::data, key, 1000, 128, 0);
         piece.stamp = {{3, 2, 1}};
         s.feed(piece, 128);
       }},
      {"a piece that had come before",
       [](Session& s) {
         s.feed(Session::frame(FrameType::offer, key, 1000));
         s.feed(Session::frame(FrameType::data, key, 1000, 128, 128), 128);
         s.feed(Session::frame(FrameType::data, key, 1000, 128, 128), 128);
       }},
      {"a piece that does not fit its message",
       [](Session& s) {
         s.feed(Session::frame(FrameType::offer, key, 1000));
         s.feed(Session::frame(FrameType::data, key, 1000, 128, 64), 128);  // would overlap its neighbours
       }},
      {"a piece that does not fit its message",
       [](Session& s) {
         s.feed(Session::frame(FrameType::offer, key, 1000));
         s.feed(Session::frame(FrameType::data, key, 1000, 100, 128), 100);  // would leave a hole
       }},
      {"a piece that does not fit its message",
       [](Session& s) {
         s.feed(Session::frame(FrameType::offer, key, 1000));
         s.feed(Session::frame(FrameType::data, key, 1000, 100, 950), 100);
       }},
      {"a piece that does not fit its message",
       [](Session& s) {
         s.feed(Session::frame(FrameType::offer, key, 1000));
         s.feed(Session::frame(FrameType::data, key, 1000, 129, 0), 129);  // above piece_bytes
       }},
      {"a piece that does not fit its message",
       [](Session& s) {
         s.feed(Session::frame(FrameType::offer, key, 1000));
         s.feed(Session::frame(FrameType::data, key, 1000, 0, 0));  // would be a loop without progress
       }},
      {"an acceptance of nothing that was offered",
       [nobodys](Session& s) { s.feed(Session::frame(FrameType::accept, nobodys, 1000)); }},
      {"an acceptance of nothing that was offered",
       [sent](Session& s) { s.feed(Session::frame(FrameType::accept, sent, 999)); }},
      {"an acceptance of nothing that was offered",
       [sent](Session& s) {
         s.link->write_budget = 0;
         s.feed(Session::frame(FrameType::accept, sent, 1000));
         s.feed(Session::frame(FrameType::accept, sent, 1000));
       }},
      {"an end of a loan that was not given",
       [nobodys](Session& s) { s.feed(Session::frame(FrameType::finish, nobodys, 1000)); }},
      {"a token outside its own memory",
       [](Session& s) {
         auto offer = Session::frame(FrameType::offer, key, 1000, 0, 1001);
         offer.flags = FrameHeader::lent;
         s.feed(offer);
       }},
  };
  for (const auto& each : violations) {
    CAPTURE(each.what);
    Session session;
    REQUIRE(session.receive.state == RequestState::pending);
    REQUIRE(session.send.state == RequestState::pending);
    each.commit(session);
    REQUIRE(session.heard.corrupt == std::vector<std::string>{each.what});
    REQUIRE(session.receive.state == RequestState::failed);
    REQUIRE(session.send.state == RequestState::failed);
    REQUIRE(session.heard.ended.empty());
    // Requests that come later fail at once.
    ReceiveRequest late = session.receive;
    session.endpoint.receive(late);
    REQUIRE(late.state == RequestState::failed);
    SendRequest late_send = session.send;
    session.endpoint.send(late_send);
    REQUIRE(late_send.state == RequestState::failed);
  }
}

namespace {

/// As Session has it, where nothing can be lent.
struct StreamingSession : Session {
  StreamingSession()
      : Session({.eager_bytes = 256, .stream_eager_bytes = 256, .piece_bytes = 512, .unexpected_bytes = 2048}, false) {}
  /// The types of the frames written so far.
  std::vector<FrameType> written() const {
    std::vector<FrameType> types;
    for (std::size_t at = 0; at < link->written().size();) {
      FrameHeader header;
      std::memcpy(&header, link->written().data() + at, sizeof header);
      types.push_back(header.type);
      at += sizeof header + header.inline_bytes;
    }
    return types;
  }
};

}  // namespace

TEST_CASE("where nothing can be lent a receive is accepted as it is posted, and done when offer and pieces are there") {
  const bool pieces_first = GENERATE(false, true);
  StreamingSession session;
  REQUIRE(session.written() == std::vector<FrameType>{FrameType::accept, FrameType::offer});
  const auto offer = Session::frame(FrameType::offer, key, 1000);
  if (!pieces_first) session.feed(offer);
  session.feed(Session::frame(FrameType::data, key, 1000, 512, 0), 512);
  session.feed(Session::frame(FrameType::data, key, 1000, 488, 512), 488);
  REQUIRE(session.receive.state == (pieces_first ? RequestState::pending : RequestState::done));
  if (pieces_first) session.feed(offer);
  REQUIRE(session.receive.state == RequestState::done);
  REQUIRE(session.target == std::vector<std::byte>(1000, std::byte{7}));
  REQUIRE(session.heard.corrupt.empty());
}

TEST_CASE("a message that was accepted before it was sent goes without waiting") {
  StreamingSession session;
  const MessageKey later{1, 2, 5};
  session.feed(Session::frame(FrameType::accept, later, 1000));
  SendRequest request = session.send;
  request.key = later;
  session.endpoint.send(request);
  session.progress();
  REQUIRE(request.state == RequestState::done);
  REQUIRE(session.written() == std::vector<FrameType>{FrameType::accept, FrameType::offer, FrameType::offer,
                                                      FrameType::data, FrameType::data});
  REQUIRE(session.send.state == RequestState::pending);
}

TEST_CASE("an acceptance of another call is a mismatch before anything is sent or written") {
  StreamingSession session;
  SECTION("that comes before the send") {
    const MessageKey later{1, 2, 5};
    auto accept = Session::frame(FrameType::accept, later, 1000);
    accept.stamp.words[1] = 99;
    session.feed(accept);
    SendRequest request = session.send;
    request.key = later;
    session.endpoint.send(request);
    session.progress();
    REQUIRE(request.state == RequestState::failed);
  }
  SECTION("that comes after the send") {
    session.feed(Session::frame(FrameType::accept, session.send.key, 999));
    REQUIRE(session.send.state == RequestState::failed);
  }
  SECTION("or an offer of another call to what was accepted") {
    session.feed(Session::frame(FrameType::offer, key, 999));
    REQUIRE(session.receive.state == RequestState::failed);
  }
  SECTION("or a small message to what was accepted") {
    session.feed(Session::frame(FrameType::message, key, 100, 100), 100);
    REQUIRE(session.receive.state == RequestState::failed);
    REQUIRE(session.target == std::vector<std::byte>(1000));
  }
  REQUIRE(session.heard.mismatches.size() == 1);
  REQUIRE(session.heard.corrupt.empty());
}

TEST_CASE("acceptances of what is never sent take bounded memory, then the peer is given up") {
  StreamingSession session;
  std::uint32_t fed = 0;
  while (session.heard.overrun_by.empty() && fed < 1000)
    session.feed(Session::frame(FrameType::accept, {1, 100 + fed++, 5}, 1000));
  REQUIRE(session.heard.overrun_by.size() == 1);
  REQUIRE(fed < 100);
  REQUIRE(session.receive.state == RequestState::failed);
}

TEST_CASE("a receive without a destination takes a loan and refuses bytes") {
  const auto with = [](auto feed) {
    Session session;
    ReceiveRequest unbacked;
    unbacked.peer = 1;
    unbacked.key = {7, 0, 0};
    unbacked.stamp = stamp;
    unbacked.bytes = 300;
    unbacked.may_borrow = true;
    session.endpoint.receive(unbacked);
    feed(session);
    return std::pair{unbacked.state, session.heard.corrupt.size()};
  };
  const auto lent = with([](Session& s) {
    auto offer = Session::frame(FrameType::offer, {7, 0, 0}, 300);
    offer.flags = FrameHeader::lent;
    s.feed(offer);
  });
  REQUIRE(lent == std::pair{RequestState::done, std::size_t{0}});
  const auto streamed = with([](Session& s) { s.feed(Session::frame(FrameType::offer, {7, 0, 0}, 300)); });
  REQUIRE(streamed == std::pair{RequestState::failed, std::size_t{1}});

  Session session;
  session.feed(Session::frame(FrameType::message, {7, 0, 0}, 100, 100), 100);
  ReceiveRequest unbacked;
  unbacked.peer = 1;
  unbacked.key = {7, 0, 0};
  unbacked.stamp = stamp;
  unbacked.bytes = 100;
  unbacked.may_borrow = true;
  session.endpoint.receive(unbacked);
  REQUIRE(unbacked.state == RequestState::failed);
  REQUIRE(session.heard.corrupt.size() == 1);
}

TEST_CASE("a message of another stamp or size fails its receive, writes nothing and leaves the link in step") {
  Session session;
  auto wrong = Session::frame(FrameType::message, key, 200, 200);
  session.feed(wrong, 200);
  REQUIRE(session.receive.state == RequestState::failed);
  REQUIRE(session.heard.mismatches.size() == 1);
  REQUIRE(std::all_of(session.target.begin(), session.target.end(), [](std::byte b) { return b == std::byte{}; }));
  REQUIRE(session.heard.corrupt.empty());
  std::vector<std::byte> next(50);
  ReceiveRequest after;
  after.peer = 1;
  after.key = {1, 3, 5};
  after.stamp = stamp;
  after.destination = next.data();
  after.bytes = next.size();
  session.endpoint.receive(after);
  session.feed(Session::frame(FrameType::message, {1, 3, 5}, 50, 50), 50);
  REQUIRE(after.state == RequestState::done);
  REQUIRE(next == std::vector<std::byte>(50, std::byte{7}));
}

TEST_CASE("a link that ends within a frame fails what was under way") {
  for (const std::size_t cut : {std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{100}}) {
    CAPTURE(cut);
    Session session;
    session.feed(Session::frame(FrameType::offer, key, 1000));
    const auto header = Session::frame(FrameType::data, key, 1000, 128, 0);
    std::vector<std::byte> bytes(sizeof header + 128, std::byte{7});
    std::memcpy(bytes.data(), &header, sizeof header);
    session.link->feed(std::span(bytes).first(cut));
    session.link->end(transport::LinkState::lost);
    session.progress();
    REQUIRE(session.receive.state == RequestState::failed);
    REQUIRE(session.send.state == RequestState::failed);
    REQUIRE(session.heard.ended == std::vector<std::pair<int, transport::LinkState>>{{1, transport::LinkState::lost}});
    REQUIRE(session.heard.corrupt.empty());
  }
}

TEST_CASE("what had arrived whole before the end can still be received, nothing else can") {
  Session session;
  session.feed(Session::frame(FrameType::message, {2, 0, 0}, 100, 100), 100);
  session.feed(Session::frame(FrameType::offer, {2, 1, 0}, 1000));
  session.feed([] {
    auto offer = Session::frame(FrameType::offer, {2, 2, 0}, 1000);
    offer.flags = FrameHeader::lent;
    return offer;
  }());
  session.feed(Session::frame(FrameType::message, {2, 3, 0}, 100, 100), 50);  // and no more
  const bool aborted = GENERATE(false, true);
  if (aborted) {
    session.endpoint.abort();
  } else {
    session.link->end(transport::LinkState::lost);
    session.progress();
  }
  for (std::uint32_t i = 0; i < 4; ++i) {
    CAPTURE(aborted, i);
    std::vector<std::byte> target(1000);
    ReceiveRequest request;
    request.peer = 1;
    request.key = {2, i, 0};
    request.stamp = stamp;
    request.destination = target.data();
    request.bytes = i == 0 || i == 3 ? 100 : 1000;
    session.endpoint.receive(request);
    REQUIRE(request.state == (i == 0 ? RequestState::done : RequestState::failed));
  }
}

TEST_CASE("a message that arrives byte by byte, and is written byte by byte, is the same message") {
  Session session;
  session.link->read_piece = 1;
  session.link->write_budget = 0;
  session.link->feed([] {
    const auto offer = Session::frame(FrameType::offer, key, 1000);
    std::vector<std::byte> bytes(sizeof offer);
    std::memcpy(bytes.data(), &offer, sizeof offer);
    return bytes;
  }());
  const std::size_t before = session.link->written().size();
  for (int i = 0; i < 4000 && session.link->written().size() < before + sizeof(FrameHeader); ++i) {
    session.link->write_budget = 1;
    session.endpoint.progress();
  }
  FrameHeader accept;
  REQUIRE(session.link->written().size() >= before + sizeof accept);
  std::memcpy(&accept, session.link->written().data() + before, sizeof accept);
  REQUIRE(accept.type == FrameType::accept);
  for (std::uint32_t at = 0; at < 1000; at += 128) {
    const std::uint32_t bytes = std::min(128u, 1000u - at);
    const auto piece = Session::frame(FrameType::data, key, 1000, bytes, at);
    session.link->feed({reinterpret_cast<const std::byte*>(&piece), sizeof piece});
    session.link->feed(std::vector<std::byte>(bytes, static_cast<std::byte>(at % 251)));
  }
  for (int i = 0; i < 200; ++i) session.endpoint.progress();
  REQUIRE(session.receive.state == RequestState::done);
  for (std::size_t i = 0; i < 1000; ++i) REQUIRE(session.target[i] == static_cast<std::byte>(i / 128 * 128 % 251));
}

TEST_CASE("a peer may run thousands of small messages ahead") {
  Session session({.eager_bytes = 256, .stream_eager_bytes = 256, .piece_bytes = 128});
  constexpr std::uint32_t ahead = 3000;
  for (std::uint32_t i = 0; i < ahead; ++i) {
    const auto message = Session::frame(FrameType::message, {2, i, 0}, 8, 8);
    session.link->feed({reinterpret_cast<const std::byte*>(&message), sizeof message});
    session.link->feed(std::vector<std::byte>(8, static_cast<std::byte>(i % 253)));
  }
  session.progress();
  REQUIRE(session.link->unread() == 0);
  for (std::uint32_t i = 0; i < ahead; ++i) {
    std::array<std::byte, 8> target{};
    ReceiveRequest request;
    request.peer = 1;
    request.key = {2, i, 0};
    request.stamp = stamp;
    request.destination = target.data();
    request.bytes = target.size();
    session.endpoint.receive(request);
    REQUIRE(request.state == RequestState::done);
    REQUIRE(target[7] == static_cast<std::byte>(i % 253));
  }
}

TEST_CASE("a peer that runs too far ahead is given up without being called broken") {
  Session session;
  std::uint32_t sent = 0;
  for (; sent < 100 && session.heard.overrun_by.empty(); ++sent) {
    session.feed(Session::frame(FrameType::message, {2, sent, 0}, 10, 10), 10);
  }
  // Not fewer than what 2048 bytes can hold of messages with their headers, and not many more.
  REQUIRE(session.heard.overrun_by == std::vector<std::size_t>{sent - 1});
  REQUIRE(sent >= 3);
  REQUIRE(sent <= 32);
  REQUIRE(session.heard.corrupt.empty());
  REQUIRE(session.receive.state == RequestState::failed);
  REQUIRE(session.send.state == RequestState::failed);
}

TEST_CASE("what is received makes room for what comes next") {
  Session session;
  for (std::uint32_t i = 0; i < 100; ++i) {
    const std::size_t bytes = i % 2 == 0 ? 10 : 256;
    session.feed(Session::frame(FrameType::message, {2, i, 0}, bytes, static_cast<std::uint32_t>(bytes)), bytes);
    std::vector<std::byte> target(bytes);
    ReceiveRequest request;
    request.peer = 1;
    request.key = {2, i, 0};
    request.stamp = stamp;
    request.destination = target.data();
    request.bytes = bytes;
    session.endpoint.receive(request);
    REQUIRE(request.state == RequestState::done);
    REQUIRE(target == std::vector<std::byte>(bytes, std::byte{7}));
  }
  REQUIRE(session.heard.overrun_by.empty());
}

TEST_CASE(
    "a hundred thousand small messages ahead are no fault, and finding one of them costs nothing like reading all") {
  Session session(Endpoint::Options{});
  constexpr std::uint32_t ahead = 100000;
  const std::vector<std::byte> payload(8, std::byte{7});
  for (std::uint32_t i = 0; i < ahead; ++i) {
    const auto message = Session::frame(FrameType::message, {2, 0, i}, 8, 8);
    session.link->feed({reinterpret_cast<const std::byte*>(&message), sizeof message});
    session.link->feed(payload);
  }
  for (int i = 0; i < 4000; ++i) session.endpoint.progress();
  REQUIRE(session.link->unread() == 0);
  REQUIRE(session.heard.unexpected_from.size() == ahead);
  REQUIRE(session.heard.overrun_by.empty());
  REQUIRE(session.heard.corrupt.empty());
  std::size_t seen = 0;  // of all that are asked for, one each: a walk over all for each would take minutes
  std::uint32_t received = 0;
  for (std::uint32_t i = 0; i < ahead; ++i) {
    const std::uint32_t which = ahead - 1 - i;
    session.endpoint.for_each_unexpected(2, which, [&](int, const MessageKey&, const Stamp&) { ++seen; });
    std::array<std::byte, 8> target{};
    ReceiveRequest request;
    request.peer = 1;
    request.key = {2, 0, which};
    request.stamp = stamp;
    request.destination = target.data();
    request.bytes = target.size();
    session.endpoint.receive(request);
    received += request.state == RequestState::done;
  }
  REQUIRE(seen == ahead);
  REQUIRE(received == ahead);
}

TEST_CASE("no sequence of frames, almost-frames and noise breaks an endpoint's promises") {
  std::mt19937 random(4711);
  std::size_t corrupted = 0, received = 0, sent = 0, mismatched = 0;
  for (int run = 0; run < 2500; ++run) {
    std::vector<std::byte> script;
    const auto say = [&](std::initializer_list<unsigned> bytes) {
      for (const unsigned byte : bytes) script.push_back(static_cast<std::byte>(byte));
    };
    // Commands that go together, in between noise, more of it in some runs than in others.
    for (auto parts = 1 + random() % 6; parts > 0; --parts) {
      const unsigned which = static_cast<unsigned>(random() % 8);
      const bool peculiar = random() % 8 == 0;
      const unsigned swapped = random() % 2;
      const auto frame = [&](FrameType type, unsigned about, unsigned how) {
        say({1, static_cast<unsigned>(type) - 1, about, peculiar ? how | 0xf0 : how});
        if (peculiar) say({static_cast<unsigned>(random() % 64), static_cast<unsigned>(random() % 256)});
        say({4, 5});
      };
      switch (random() % 6) {
        case 0:
          say({5, which % 3});
          frame(FrameType::message, which % 3, 0);
          break;
        case 1:
          say({5, which});
          frame(FrameType::offer, which, 1);  // lent
          say({7, 3});
          break;
        case 2:
          say({5, which});
          frame(FrameType::offer, which, 0);  // to be streamed
          break;
        case 3:
          say({5, 4});
          frame(FrameType::offer, 4, 0);
          for (unsigned piece = 0; piece < 8; ++piece)  // over the further lanes, in pairs that change places
            frame(FrameType::data, 4, 2 * (1 + piece % 2) + swapped);
          break;
        case 4:
          say({6, which % 4, 4, 3});
          frame(which % 2 == 0 ? FrameType::finish : FrameType::accept, which % 4, 0);
          break;
        default:
          for (std::size_t i = random() % (run % 4 == 0 ? 12 : 2); i > 0; --i)
            say({static_cast<unsigned>(random() % 256)});
      }
    }
    HostileSession session(run % 2 == 0 ? 1 : 3);
    session.run(script);
    INFO("run " << run << ": " << session.broken());
    REQUIRE(session.broken().empty());
    corrupted += session.corruptions().size();
    received += session.received();
    sent += session.sent();
    mismatched += session.mismatches();
  }
  // The scripts reach the insides: some messages get through, some runs are given up.
  REQUIRE(corrupted > 200);
  REQUIRE(corrupted < 2500);
  REQUIRE(received > 200);
  REQUIRE(sent > 40);
  REQUIRE(mismatched > 4);
}

TEST_CASE("an abort gives back the link of a peer that had been given up before") {
  struct Counted final : transport::Link {
    explicit Counted(int& alive) : alive_(alive) { ++alive_; }
    ~Counted() override { --alive_; }
    std::size_t write(std::span<const std::span<const std::byte>>) noexcept override { return 0; }
    std::size_t read(std::span<std::byte> into) noexcept override {
      std::fill(into.begin(), into.end(), std::byte{0xff});
      return into.size();
    }
    bool lend(const void*, std::size_t, std::uint64_t&) const noexcept override { return false; }
    std::byte* borrow(std::uint64_t, std::size_t) noexcept override { return nullptr; }
    void nudge() noexcept override {}
    int descriptor() const noexcept override { return -1; }
    bool arm(bool) noexcept override { return false; }
    void disarm() noexcept override {}
    void check() noexcept override {}
    transport::LinkState state() const noexcept override { return transport::LinkState::open; }
    int errno_value() const noexcept override { return 0; }
    void close() noexcept override {}
    int& alive_;
  };
  int alive = 0;
  testing::Heard heard;
  Endpoint endpoint(0, 2, std::make_shared<transport::Doorbell>(), {});
  endpoint.attach(1, std::make_unique<Counted>(alive));
  endpoint.set_listener(&heard);
  for (int i = 0; i < 100; ++i) endpoint.progress();
  REQUIRE(heard.corrupt.size() == 1);
  endpoint.abort();
  REQUIRE(alive == 0);
}

TEST_CASE("closing ends at its deadline, whether the peer takes nothing or talks on for ever, and does not spin") {
  struct Stubborn final : transport::Link {
    Stubborn(bool talks, int& rounds) : talks_(talks), rounds_(rounds) {}
    std::size_t write(std::span<const std::span<const std::byte>>) noexcept override {
      ++rounds_;
      return 0;
    }
    std::size_t read(std::span<std::byte> into) noexcept override { return talks_ ? into.size() : 0; }
    bool lend(const void*, std::size_t, std::uint64_t&) const noexcept override { return false; }
    std::byte* borrow(std::uint64_t, std::size_t) noexcept override { return nullptr; }
    void nudge() noexcept override {}
    int descriptor() const noexcept override { return -1; }
    bool arm(bool) noexcept override { return true; }
    void disarm() noexcept override {}
    void check() noexcept override {}
    transport::LinkState state() const noexcept override { return transport::LinkState::open; }
    int errno_value() const noexcept override { return 0; }
    void close() noexcept override {}
    bool talks_;
    int& rounds_;
  };
  const bool talks = GENERATE(false, true);
  CAPTURE(talks);
  int rounds = 0;
  Endpoint endpoint(0, 2, std::make_shared<transport::Doorbell>(), {});
  endpoint.attach(1, std::make_unique<Stubborn>(talks, rounds));
  SendRequest send;
  std::byte byte{};
  send.peer = 1;
  send.data = &byte;
  send.bytes = 1;
  if (!talks) endpoint.send(send);
  endpoint.close(Deadline::after(std::chrono::milliseconds(200)));
  REQUIRE(send.state == (talks ? RequestState::idle : RequestState::failed));
  REQUIRE(rounds < 200);  // ten sleeps
}
