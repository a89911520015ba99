// SPDX-License-Identifier: Apache-2.0
// A peer with several lanes: who carries what, and what ends when one of them does.
#include "support/byte_link.hpp"
#include "support/endpoints.hpp"
#include "transport/endpoint/frame.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <cstring>
#include <fstream>
#include <limits>
#include <list>
#include <map>
#include <numeric>
#include <random>
#include <sstream>
#include <thread>

#include <sys/eventfd.h>
#include <unistd.h>

using namespace trireme;
using testing::ByteLink;
using transport::Endpoint;
using transport::FrameHeader;
using transport::FrameType;
using transport::LinkState;
using transport::MessageKey;
using transport::ReceiveRequest;
using transport::RequestState;
using transport::SendRequest;

namespace {

constexpr std::size_t piece_bytes = 128;
constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();
constexpr transport::Stamp lane_stamp{{1, 2, 3}};

std::vector<std::byte> noise(std::size_t bytes, unsigned seed) {
  std::vector<std::byte> data(bytes);
  std::mt19937 random(seed);
  for (auto& byte : data) byte = static_cast<std::byte>(random());
  return data;
}

FrameHeader frame_of(FrameType type, MessageKey key, std::uint64_t bytes, std::uint64_t token = 0) {
  FrameHeader header;
  header.type = type;
  header.communicator = key.communicator;
  header.index = key.index;
  header.operation = key.operation;
  header.bytes = bytes;
  header.token = token;
  header.stamp = lane_stamp;
  if (type == FrameType::data)
    header.inline_bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(piece_bytes, bytes - token));
  if (type == FrameType::message) header.inline_bytes = static_cast<std::uint32_t>(bytes);
  return header;
}

/// An endpoint whose one peer is the test, on several lanes.
struct Laned {
  explicit Laned(std::size_t lanes, std::chrono::milliseconds patience = std::chrono::seconds(1000),
                 std::size_t first_lane_bytes = 64)
      : endpoint(0, 2, std::make_shared<transport::Doorbell>(),
                 {.eager_bytes = 64,
                  .stream_eager_bytes = 64,
                  .first_lane_bytes = first_lane_bytes,
                  .piece_bytes = piece_bytes,
                  .lane_patience = patience}) {
    auto first = std::make_unique<ByteLink>();
    links.push_back(first.get());
    while (links.size() < lanes) {
      auto further = std::make_unique<ByteLink>();
      links.push_back(further.get());
      first->lanes.push_back(std::move(further));
    }
    endpoint.attach(1, std::move(first));
    endpoint.set_listener(&heard);
  }
  SendRequest& send(MessageKey key, const std::vector<std::byte>& data) {
    SendRequest& request = sends.emplace_back();
    request.peer = 1;
    request.key = key;
    request.stamp = lane_stamp;
    request.data = data.data();
    request.bytes = data.size();
    endpoint.send(request);
    return request;
  }
  ReceiveRequest& receive(MessageKey key, std::vector<std::byte>& into) {
    ReceiveRequest& request = receives.emplace_back();
    request.peer = 1;
    request.key = key;
    request.stamp = lane_stamp;
    request.destination = into.data();
    request.bytes = into.size();
    endpoint.receive(request);
    return request;
  }
  void feed(std::size_t lane, const FrameHeader& header, const std::byte* payload = nullptr) {
    links[lane]->feed({reinterpret_cast<const std::byte*>(&header), sizeof header});
    if (header.inline_bytes != 0) {
      const std::vector<std::byte> zeros(header.inline_bytes);
      links[lane]->feed({payload != nullptr ? payload : zeros.data(), header.inline_bytes});
    }
  }
  void progress(int rounds = 200) {
    for (int i = 0; i < rounds; ++i) endpoint.progress();
  }
  /// Payload bytes of pieces on a lane; what is half written counts as far as it is.
  std::size_t piece_payload(std::size_t lane) const {
    std::size_t total = 0;
    for_each_frame(lane, [&](const FrameHeader& header, std::span<const std::byte> payload) {
      if (header.type == FrameType::data) total += payload.size();
    });
    return total;
  }
  template <class See>
  void for_each_frame(std::size_t lane, See see) const {
    std::span<const std::byte> left(links[lane]->written());
    while (left.size() >= sizeof(FrameHeader)) {
      FrameHeader header;
      std::memcpy(&header, left.data(), sizeof header);
      left = left.subspan(sizeof header);
      const auto payload = left.first(std::min<std::size_t>(left.size(), header.inline_bytes));
      see(header, payload);
      left = left.subspan(payload.size());
    }
  }

  testing::Heard heard;
  Endpoint endpoint;
  std::vector<ByteLink*> links;
  std::list<SendRequest> sends;
  std::list<ReceiveRequest> receives;
};

}  // namespace

TEST_CASE("pieces that come over several lanes in any order make whole messages") {
  const std::size_t lanes = GENERATE(1u, 2u, 3u, 4u);
  std::mt19937 random(17);
  for (int run = 0; run < 50; ++run) {
    CAPTURE(lanes, run);
    Laned rank(lanes);
    std::vector<std::vector<std::byte>> sources, targets;
    struct Piece {
      std::size_t message;
      std::uint64_t offset;
    };
    std::vector<Piece> pieces;
    for (std::uint32_t m = 0; m < 3; ++m) {
      sources.push_back(noise(65 + random() % 3000, static_cast<unsigned>(random())));
      targets.emplace_back(sources.back().size());
      for (std::uint64_t at = 0; at < sources[m].size(); at += piece_bytes) pieces.push_back({m, at});
    }
    for (std::uint32_t m = 0; m < 3; ++m) {
      rank.receive({1, m, 7}, targets[m]);
      rank.feed(0, frame_of(FrameType::offer, {1, m, 7}, sources[m].size()));
    }
    rank.progress();
    for (auto* link : rank.links) link->read_piece = 1 + random() % 200;
    std::shuffle(pieces.begin(), pieces.end(), random);
    const Piece last = pieces.back();
    pieces.pop_back();
    for (const auto& each : pieces) {
      rank.feed(random() % lanes,
                frame_of(FrameType::data, {1, static_cast<std::uint32_t>(each.message), 7},
                         sources[each.message].size(), each.offset),
                sources[each.message].data() + each.offset);
      if (random() % 4 == 0) rank.progress(3);
    }
    rank.progress(4000);
    auto incomplete = std::next(rank.receives.begin(), static_cast<std::ptrdiff_t>(last.message));
    REQUIRE(incomplete->state == RequestState::pending);
    rank.feed(lanes - 1,
              frame_of(FrameType::data, {1, static_cast<std::uint32_t>(last.message), 7}, sources[last.message].size(),
                       last.offset),
              sources[last.message].data() + last.offset);
    rank.progress(1000);
    for (const auto& each : rank.receives) REQUIRE(each.state == RequestState::done);
    REQUIRE(targets == sources);
    REQUIRE(rank.heard.corrupt.empty());
  }
}

TEST_CASE("each piece is written once, on whichever further lane has room; the first lane carries the rest") {
  const std::size_t lanes = GENERATE(2u, 3u, 4u);
  std::mt19937 random(5);
  for (int run = 0; run < 50; ++run) {
    Laned rank(lanes);
    const auto large = noise(2000 + random() % 3000, 1), other = noise(700, 2), small = noise(60, 3);
    auto& first = rank.send({1, 0, 7}, large);
    auto& second = rank.send({1, 1, 7}, other);
    rank.feed(0, frame_of(FrameType::accept, {1, 0, 7}, large.size()));
    rank.feed(0, frame_of(FrameType::accept, {1, 1, 7}, other.size()));
    for (auto* link : rank.links) link->write_budget = 0;
    auto& third = rank.send({1, 2, 7}, small);
    for (int i = 0; i < 3000; ++i) {
      rank.links[random() % lanes]->write_budget = random() % 300;
      rank.progress(1);
    }
    CAPTURE(lanes, run);
    for (const auto* each : {&first, &second, &third}) REQUIRE(each->state == RequestState::done);
    std::vector<std::byte> got_large(large.size()), got_other(other.size());
    std::map<std::pair<std::uint32_t, std::uint64_t>, int> seen;
    bool in_place = true;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      rank.for_each_frame(lane, [&](const FrameHeader& header, std::span<const std::byte> payload) {
        in_place &= (header.type == FrameType::data) == (lane != 0);
        if (header.type != FrameType::data) return;
        ++seen[{header.index, header.token}];
        std::memcpy((header.index == 0 ? got_large : got_other).data() + header.token, payload.data(), payload.size());
      });
    }
    REQUIRE(in_place);
    REQUIRE(got_large == large);
    REQUIRE(got_other == other);
    REQUIRE(std::all_of(seen.begin(), seen.end(), [](const auto& each) { return each.second == 1; }));
  }
}

TEST_CASE("a message of a few pieces uses every further lane") {
  Laned rank(4);
  const auto data = noise(6 * piece_bytes, 1);
  auto& send = rank.send({1, 0, 7}, data);
  rank.feed(0, frame_of(FrameType::accept, {1, 0, 7}, data.size()));
  rank.progress();
  REQUIRE(send.state == RequestState::done);
  for (std::size_t lane = 1; lane < 4; ++lane) REQUIRE(rank.piece_payload(lane) == 2 * piece_bytes);
}

TEST_CASE("a lane that is stuck takes no piece and holds no other lane up; a slow one takes fewer") {
  Laned rank(4);
  const auto data = noise(60 * piece_bytes, 1);
  auto& send = rank.send({1, 0, 7}, data);
  rank.feed(0, frame_of(FrameType::accept, {1, 0, 7}, data.size()));
  SECTION("from the beginning") {
    rank.links[2]->write_budget = 0;
    rank.progress();
    REQUIRE(send.state == RequestState::done);
    REQUIRE(rank.piece_payload(1) == 30 * piece_bytes);
    REQUIRE(rank.piece_payload(2) == 0);
    REQUIRE(rank.piece_payload(3) == 30 * piece_bytes);
  }
  SECTION("in the middle of a piece") {
    rank.links[2]->write_budget = sizeof(FrameHeader) + 10;
    rank.progress();
    REQUIRE(send.state == RequestState::pending);  // ten bytes of that piece are out: it is that lane's
    REQUIRE(rank.piece_payload(1) + rank.piece_payload(3) == 59 * piece_bytes);
    REQUIRE(rank.piece_payload(2) == 10);
    rank.links[2]->write_budget = unlimited;
    rank.progress();
    REQUIRE(send.state == RequestState::done);
    REQUIRE(rank.piece_payload(2) == piece_bytes);
  }
  SECTION("slow") {
    constexpr std::size_t whole_piece = sizeof(FrameHeader) + piece_bytes;
    for (std::size_t lane = 1; lane < 4; ++lane) rank.links[lane]->write_budget = 0;
    rank.progress();
    for (int round = 0; send.state == RequestState::pending && round < 100; ++round) {
      rank.links[1]->write_budget += whole_piece / 4;
      rank.links[2]->write_budget += whole_piece;
      rank.links[3]->write_budget += whole_piece;
      rank.progress(1);
    }
    REQUIRE(send.state == RequestState::done);
    REQUIRE(rank.piece_payload(1) <= 8 * piece_bytes);
    REQUIRE(rank.piece_payload(1) >= 5 * piece_bytes);
  }
}

TEST_CASE(
    "larger messages that travel at once go whole on whichever further lane has room, smaller ones on the first") {
  const std::size_t lanes = GENERATE(1u, 2u, 3u, 4u);
  std::mt19937 random(11);
  for (int run = 0; run < 50; ++run) {
    CAPTURE(lanes, run);
    Laned rank(lanes, std::chrono::seconds(1000), 16);
    std::vector<std::vector<std::byte>> sources;
    for (unsigned m = 0; m < 20; ++m) sources.push_back(noise(1 + random() % 64, m));
    for (auto* link : rank.links) link->write_budget = 0;
    for (std::uint32_t m = 0; m < sources.size(); ++m) rank.send({1, m, 7}, sources[m]);
    for (int i = 0; i < 3000; ++i) {
      rank.links[random() % lanes]->write_budget = random() % 50;
      rank.progress(1);
    }
    for (const auto& each : rank.sends) REQUIRE(each.state == RequestState::done);
    std::map<std::uint32_t, int> seen;
    bool whole = true, in_place = true;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      rank.for_each_frame(lane, [&](const FrameHeader& header, std::span<const std::byte> payload) {
        ++seen[header.index];
        const auto& source = sources[header.index];
        whole &= header.type == FrameType::message &&
                 std::equal(payload.begin(), payload.end(), source.begin(), source.end());
        in_place &= lanes == 1 || (source.size() > 16) == (lane != 0);
      });
    }
    REQUIRE(whole);
    REQUIRE(in_place);
    REQUIRE(seen.size() == sources.size());
    REQUIRE(std::all_of(seen.begin(), seen.end(), [](const auto& each) { return each.second == 1; }));
  }
}

TEST_CASE("messages that come over several lanes in any order are received, posted before or after") {
  const std::size_t lanes = GENERATE(2u, 3u, 4u);
  std::mt19937 random(23);
  for (int run = 0; run < 50; ++run) {
    CAPTURE(lanes, run);
    Laned rank(lanes, std::chrono::seconds(1000), 16);
    std::vector<std::vector<std::byte>> sources, targets;
    for (unsigned m = 0; m < 12; ++m) {
      sources.push_back(noise(17 + random() % 48, m));
      targets.emplace_back(sources.back().size());
    }
    std::vector<std::uint32_t> order(sources.size());
    std::iota(order.begin(), order.end(), 0u);
    for (auto* link : rank.links) link->read_piece = 1 + random() % 40;
    for (std::uint32_t m = 0; m < 6; ++m) rank.receive({1, m, 7}, targets[m]);
    std::shuffle(order.begin(), order.end(), random);
    for (const std::uint32_t m : order) {
      rank.feed(1 + random() % (lanes - 1), frame_of(FrameType::message, {1, m, 7}, sources[m].size()),
                sources[m].data());
      if (random() % 3 == 0) rank.progress(2);
    }
    for (std::uint32_t m = 6; m < sources.size(); ++m) {
      rank.receive({1, m, 7}, targets[m]);
      rank.progress(1);
    }
    rank.progress(4000);
    for (const auto& each : rank.receives) REQUIRE(each.state == RequestState::done);
    REQUIRE(targets == sources);
    REQUIRE(rank.heard.corrupt.empty());
  }
}

TEST_CASE("a message half here on a further lane is looked for every round, not now and then") {
  Laned rank(3, std::chrono::seconds(1000), 16);
  const auto source = noise(60, 1);
  std::vector<std::byte> target(60);
  auto& receive = rank.receive({1, 0, 7}, target);
  const auto header = frame_of(FrameType::message, {1, 0, 7}, 60);
  rank.links[2]->feed({reinterpret_cast<const std::byte*>(&header), sizeof header});
  rank.progress(2);
  for (std::size_t at = 0; at < source.size(); ++at) {
    REQUIRE(receive.state == RequestState::pending);
    rank.links[2]->feed({source.data() + at, 1});
    rank.progress(1);
  }
  REQUIRE(receive.state == RequestState::done);
  REQUIRE(target == source);
}

TEST_CASE("what one lane brought another cannot bring again, and only messages and pieces come on a further lane") {
  Laned rank(3);
  std::vector<std::byte> guarded(1000 + 2 * 64, std::byte{0xa5});
  ReceiveRequest receive;
  receive.peer = 1;
  receive.key = {1, 0, 7};
  receive.stamp = lane_stamp;
  receive.destination = guarded.data() + 64;
  receive.bytes = 1000;
  rank.endpoint.receive(receive);
  rank.feed(0, frame_of(FrameType::offer, {1, 0, 7}, 1000));
  rank.progress();
  std::string expected;
  SECTION("whole") {
    rank.feed(1, frame_of(FrameType::data, {1, 0, 7}, 1000, 128));
    rank.progress();
    rank.feed(2, frame_of(FrameType::data, {1, 0, 7}, 1000, 128));
    expected = "a piece that had come before";
  }
  SECTION("while it arrives") {
    const auto header = frame_of(FrameType::data, {1, 0, 7}, 1000, 128);
    rank.links[1]->feed({reinterpret_cast<const std::byte*>(&header), sizeof header});
    rank.progress();
    rank.feed(2, header);
    expected = "a piece that had come before";
  }
  SECTION("an offer") {
    rank.feed(1, frame_of(FrameType::offer, {1, 1, 7}, 1000));
    expected = "another frame where only messages and pieces belong";
  }
  SECTION("an acceptance") {
    rank.feed(2, frame_of(FrameType::accept, {1, 1, 7}, 1000));
    expected = "another frame where only messages and pieces belong";
  }
  rank.progress();
  REQUIRE(rank.heard.corrupt == std::vector<std::string>{expected});
  REQUIRE(receive.state == RequestState::failed);
  const auto untouched = [&](std::size_t from) {
    return std::all_of(guarded.begin() + static_cast<std::ptrdiff_t>(from),
                       guarded.begin() + static_cast<std::ptrdiff_t>(from + 64),
                       [](std::byte byte) { return byte == std::byte{0xa5}; });
  };
  REQUIRE(untouched(0));
  REQUIRE(untouched(guarded.size() - 64));
}

TEST_CASE("the death of one lane is the death of the peer, after what the others had brought") {
  const std::size_t dead = GENERATE(0u, 1u, 2u);
  Laned rank(3);
  const auto data = noise(1000, 1);
  std::vector<std::byte> target(1000), last_word(20);
  auto& send = rank.send({1, 0, 7}, data);
  auto& receive = rank.receive({1, 1, 7}, target);
  auto& word = rank.receive({1, 2, 7}, last_word);
  rank.feed(0, frame_of(FrameType::message, {1, 2, 7}, 20));
  rank.links[dead]->end(LinkState::lost);
  rank.progress();
  REQUIRE(word.state == RequestState::done);
  REQUIRE(send.state == RequestState::failed);
  REQUIRE(receive.state == RequestState::failed);
  REQUIRE(rank.heard.ended == std::vector<std::pair<int, LinkState>>{{1, LinkState::lost}});
  REQUIRE(rank.endpoint.link_state(1) == LinkState::lost);
}

TEST_CASE("a good end is one of all lanes, in whatever order they end") {
  std::vector<std::size_t> order{0, 1, 2};
  do {
    Laned rank(3);
    std::vector<std::byte> target(1000);
    auto& receive = rank.receive({1, 1, 7}, target);
    rank.feed(0, frame_of(FrameType::offer, {1, 1, 7}, 1000));
    rank.progress();
    for (std::uint64_t at = 0; at < 1000; at += piece_bytes)
      rank.feed(1 + at / piece_bytes % 2, frame_of(FrameType::data, {1, 1, 7}, 1000, at));
    for (auto* link : rank.links) link->read_piece = 50;
    rank.endpoint.progress();
    for (const std::size_t lane : order) {
      REQUIRE(rank.heard.ended.empty());
      rank.links[lane]->end(LinkState::closed);
      rank.progress();
    }
    REQUIRE(receive.state == RequestState::done);
    REQUIRE(rank.heard.ended == std::vector<std::pair<int, LinkState>>{{1, LinkState::closed}});
    REQUIRE(rank.endpoint.link_state(1) == LinkState::closed);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("a lane that ends while the others go on is a loss when patience is over") {
  Laned rank(3, std::chrono::milliseconds(0));
  std::vector<std::byte> target(1000);
  auto& receive = rank.receive({1, 1, 7}, target);
  rank.links[1]->end(LinkState::closed);
  rank.progress();
  REQUIRE(receive.state == RequestState::failed);
  REQUIRE(rank.heard.ended == std::vector<std::pair<int, LinkState>>{{1, LinkState::lost}});
  REQUIRE(rank.endpoint.link_state(1) == LinkState::lost);
}

namespace {

/// Takes nothing and brings nothing; its descriptor is one that epoll takes.
struct Silent final : transport::Link {
  ~Silent() override { ::close(event); }
  std::size_t write(std::span<const std::span<const std::byte>>) noexcept override { return 0; }
  std::size_t read(std::span<std::byte>) noexcept override { return 0; }
  bool lend(const void*, std::size_t, std::uint64_t&) const noexcept override { return false; }
  std::byte* borrow(std::uint64_t, std::size_t) noexcept override { return nullptr; }
  void nudge() noexcept override {}
  int descriptor() const noexcept override { return event; }
  bool arm(bool) noexcept override { return true; }
  void disarm() noexcept override {}
  void check() noexcept override { ++checks; }
  LinkState state() const noexcept override { return now; }
  int errno_value() const noexcept override { return 0; }
  void close() noexcept override {}
  const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int checks = 0;
  LinkState now = LinkState::open;
};

/// A link the test can write on until it says no, with silent lanes beside it.
struct Talking final : transport::Link {
  explicit Talking(ByteLink& bytes) : bytes_(bytes) {}
  std::size_t write(std::span<const std::span<const std::byte>> parts) noexcept override { return bytes_.write(parts); }
  std::size_t read(std::span<std::byte> into) noexcept override { return bytes_.read(into); }
  bool lend(const void*, std::size_t, std::uint64_t&) const noexcept override { return false; }
  std::byte* borrow(std::uint64_t, std::size_t) noexcept override { return nullptr; }
  void nudge() noexcept override {}
  int descriptor() const noexcept override { return -1; }
  bool arm(bool) noexcept override { return true; }
  void disarm() noexcept override {}
  void check() noexcept override {}
  LinkState state() const noexcept override { return LinkState::open; }
  int errno_value() const noexcept override { return 0; }
  void close() noexcept override {}
  std::vector<std::unique_ptr<transport::Link>> take_lanes() override { return std::move(lanes); }
  std::vector<std::unique_ptr<transport::Link>> lanes;
  ByteLink& bytes_;
};

/// Which events the epoll sets of this process wait for on `descriptor`; empty when it is in none.
std::string watched_for(int descriptor) {
  for (int each = 0; each < 1024; ++each) {
    std::ifstream info("/proc/self/fdinfo/" + std::to_string(each));
    for (std::string line; std::getline(info, line);) {
      std::istringstream words(line);
      std::string tfd, number, label, events;
      words >> tfd >> number >> label >> events;
      if (tfd == "tfd:" && number == std::to_string(descriptor)) return events;
    }
  }
  return {};
}

}  // namespace

TEST_CASE(
    "a sleep waits for every lane, for writing where something is to be written, and not for one that has ended") {
  testing::Heard heard;
  ByteLink bytes;
  auto first = std::make_unique<Talking>(bytes);
  std::vector<Silent*> silent;
  for (int i = 0; i < 2; ++i) {
    auto lane = std::make_unique<Silent>();
    silent.push_back(lane.get());
    first->lanes.push_back(std::move(lane));
  }
  Endpoint endpoint(0, 2, std::make_shared<transport::Doorbell>(),
                    {.eager_bytes = 64, .stream_eager_bytes = 64, .piece_bytes = piece_bytes});
  endpoint.attach(1, std::move(first));
  endpoint.set_listener(&heard);
  const auto now = Deadline::after(std::chrono::milliseconds(0));
  endpoint.sleep(now);
  if (watched_for(silent[0]->event).empty()) {
    WARN("skipped: this kernel does not tell what an epoll set waits for");
    return;
  }
  // EPOLLERR and EPOLLHUP, which are always there, and EPOLLIN; EPOLLOUT in addition.
  for (const auto* lane : silent) REQUIRE(watched_for(lane->event) == "19");
  const auto data = noise(1000, 1);
  SendRequest send;
  send.peer = 1;
  send.key = {1, 0, 7};
  send.stamp = lane_stamp;
  send.data = data.data();
  send.bytes = data.size();
  endpoint.send(send);
  const auto accept = frame_of(FrameType::accept, {1, 0, 7}, 1000);
  bytes.feed({reinterpret_cast<const std::byte*>(&accept), sizeof accept});
  for (int i = 0; i < 100; ++i) endpoint.progress();
  endpoint.sleep(now);
  for (const auto* lane : silent) REQUIRE(watched_for(lane->event) == "1d");
  // A lane that wakes the sleeper is looked after.
  const int before = silent[1]->checks;
  REQUIRE(::eventfd_write(silent[1]->event, 1) == 0);
  endpoint.sleep(Deadline::after(std::chrono::seconds(10)));
  REQUIRE(silent[1]->checks > before);
  silent[0]->now = LinkState::closed;
  for (int i = 0; i < 100; ++i) endpoint.progress();
  REQUIRE(watched_for(silent[0]->event).empty());
  REQUIRE(watched_for(silent[1]->event) == "1d");
  REQUIRE(heard.ended.empty());
}

TEST_CASE("closing tells whether a peer was lost; one that is late is not") {
  Laned rank(2);
  bool expected = true;
  SECTION("it has") {
    for (auto* link : rank.links) link->end(LinkState::closed);
  }
  SECTION("it had before") {
    for (auto* link : rank.links) link->end(LinkState::closed);
    rank.progress();
  }
  SECTION("it was lost") {
    for (auto* link : rank.links) link->end(LinkState::lost);
    expected = false;
  }
  SECTION("one lane of it goes on") { rank.links[1]->end(LinkState::closed); }
  SECTION("it goes on") {}
  CHECK(rank.endpoint.close(Deadline::after(std::chrono::milliseconds(50))) == expected);
}

TEST_CASE("who leaves first hears that the others leave in good order, too, though they had seen it go") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp", "tcp3");
  CAPTURE(transport);
  testing::Endpoints ranks(transport, 2);
  std::atomic<bool> together{false};
  std::thread first([&] { together = ranks[0].close(Deadline::after(std::chrono::seconds(10))); });
  const Deadline deadline = Deadline::after(std::chrono::seconds(10));
  while (ranks.heard(1).ended.empty() && !deadline.passed()) ranks[1].progress();
  const bool seen = !ranks.heard(1).ended.empty();
  const bool second = ranks[1].close(Deadline::after(std::chrono::seconds(10)));
  ranks.crash(1);
  first.join();
  CHECK(seen);
  CHECK(second);
  CHECK(together);
}
