// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/byte_link.hpp"
#include "transport/endpoint/frame.hpp"
#include "trireme/transport/doorbell.hpp"
#include "trireme/transport/endpoint.hpp"

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::testing {

/// One endpoint with one peer that does what a script of bytes says: well-formed frames, frames with one wrong field,
/// raw bytes, silence, the end. Any script is legal. Afterwards `broken()` names the first promise of the endpoint that
/// did not hold, or is empty.
class HostileSession final : public transport::EndpointListener {
 public:
  static constexpr std::size_t eager_bytes = 256;
  static constexpr std::size_t piece_bytes = 128;
  static constexpr std::size_t unexpected_bytes = 8192;

  /// `lanes`: how many streams the peer has. `lends`: whether memory can be read in place.
  explicit HostileSession(std::size_t lanes = 1, bool lends = true)
      : endpoint_(0, 2, std::make_shared<transport::Doorbell>(),
                  {.eager_bytes = eager_bytes,
                   .stream_eager_bytes = eager_bytes,
                   .piece_bytes = piece_bytes,
                   .unexpected_bytes = unexpected_bytes}),
        own_memory_(2000, std::byte{1}),
        peer_memory_(4096, std::byte{2}) {
    auto link = std::make_unique<ByteLink>();
    links_.push_back(link.get());
    link->streams = !lends;
    if (lends) link->lendable = std::span(own_memory_).first(1000);
    link->peer_memory = peer_memory_;
    while (links_.size() < lanes) {
      auto further = std::make_unique<ByteLink>();
      links_.push_back(further.get());
      link->lanes.push_back(std::move(further));
    }
    endpoint_.attach(1, std::move(link));
    endpoint_.set_listener(this);
    for (std::size_t i = 0; i < receives_.size(); ++i) {
      auto& each = receives_[i];
      each.memory.assign(sizes[i] + 2 * guard, guard_byte);
      each.request.peer = 1;
      each.request.key = key(static_cast<std::uint32_t>(i));
      each.request.stamp = stamp;
      each.request.bytes = sizes[i];
      each.request.may_borrow = i % 2 == 1;
      each.request.destination = i == unbacked ? nullptr : each.memory.data() + guard;
    }
    for (std::size_t i = 0; i < sends_.size(); ++i) {
      auto& each = sends_[i];
      each.peer = 1;
      each.key = key(static_cast<std::uint32_t>(i));
      each.stamp = stamp;
      // The first 1000 bytes can be lent, the others cannot.
      each.data = own_memory_.data() + (i % 2 == 0 ? 0 : 1000);
      each.bytes = send_sizes[i];
    }
  }

  void run(std::span<const std::byte> script) {
    script_ = script;
    while (!script_.empty()) act();
    // Whatever was half done: no more comes, and the endpoint must come to an end of it.
    for (ByteLink* link : links_) {
      link->write_budget = std::numeric_limits<std::size_t>::max();
      link->read_piece = std::numeric_limits<std::size_t>::max();
      if (!ended_early_) link->end(transport::LinkState::closed);
    }
    progress(2000);
    if (ended_early_) {  // one lane, and the others only now
      for (ByteLink* link : links_) link->end(transport::LinkState::closed);
      progress(2000);
    }
    check_end();
  }

  const std::string& broken() const { return broken_; }
  const std::vector<std::string>& corruptions() const { return corrupted_; }
  std::size_t mismatches() const { return mismatches_; }
  std::size_t received() const {
    std::size_t count = 0;
    for (const auto& each : receives_) count += each.posted && each.request.state == transport::RequestState::done;
    return count;
  }
  std::size_t sent() const {
    std::size_t count = 0;
    for (const auto& each : sends_) count += each.state == transport::RequestState::done;
    return count;
  }

  // EndpointListener
  void unexpected(int, const transport::MessageKey&, const transport::Stamp&) noexcept override { told(); }
  void mismatched(int, const transport::MessageKey&, const transport::Stamp&,
                  const transport::Stamp&) noexcept override {
    ++mismatches_;  // also after the end: a receive may find what had arrived before
  }
  void noted(int, std::uint8_t, const transport::MessageKey&, const transport::Stamp&) noexcept override { told(); }
  void peer_ended(int, transport::LinkState, int) noexcept override {
    told();
    ended_ = true;
  }
  void corrupted(int, std::string_view what) noexcept override {
    told();
    ended_ = true;
    corrupted_.emplace_back(what);
  }
  void overrun(int, const transport::MessageKey&, std::size_t) noexcept override { corrupted(1, "too much"); }

 private:
  static constexpr transport::Stamp stamp{{1, 2, 3}};
  static constexpr std::size_t guard = 64;
  static constexpr std::byte guard_byte{0xa5};
  static constexpr std::array<std::size_t, 8> sizes{0, 100, 256, 257, 1000, 1001, 3000, 2000};
  static constexpr std::size_t unbacked = 7;  // has no destination: may only be read in place
  static constexpr std::array<std::size_t, 4> send_sizes{10, 256, 1000, 700};
  static transport::MessageKey key(std::uint32_t index) { return {3, index, 7}; }

  struct Receive {
    std::vector<std::byte> memory;
    transport::ReceiveRequest request;
    std::uint32_t pieces_fed = 0;
    bool posted = false;
    bool given_back = false;
  };

  std::uint8_t next() {
    if (script_.empty()) return 0;
    const auto value = std::to_integer<std::uint8_t>(script_.front());
    script_ = script_.subspan(1);
    return value;
  }
  void act() {
    switch (next() % 8) {
      case 0: {  // raw bytes
        const std::size_t wanted = next();
        const std::size_t count = std::min(wanted, script_.size());
        link().feed(script_.first(count));
        script_ = script_.subspan(count);
        break;
      }
      case 1:
      case 2:
      case 3: feed_frame(); break;
      case 4: progress(1 + next() % 70); break;
      case 5: {
        auto& each = receives_[next() % receives_.size()];
        if (!each.posted) {
          each.posted = true;
          endpoint_.receive(each.request);
        }
        break;
      }
      case 6: {
        auto& each = sends_[next() % sends_.size()];
        if (each.state == transport::RequestState::idle) endpoint_.send(each);
        break;
      }
      default: {
        const std::uint8_t what = next();
        lane_ = what / 4 % links_.size();
        if (what >= 0xf8) {
          ended_early_ = true;
          link().end(what % 2 == 0 ? transport::LinkState::closed : transport::LinkState::lost);
          break;
        }
        switch (what % 4) {
          case 0: link().write_budget = next(); break;
          case 1: link().write_budget = std::numeric_limits<std::size_t>::max(); break;
          case 2: link().read_piece = 1 + next() % 90; break;
          default: give_back(); break;
        }
      }
    }
  }
  /// A frame that is right but for what the script's bytes turn wrong.
  void feed_frame() {
    transport::FrameHeader header;
    header.type = static_cast<transport::FrameType>(1 + next() % 6);
    const std::size_t which = next() % receives_.size();
    header.communicator = key(0).communicator;
    header.index = static_cast<std::uint32_t>(which);
    header.operation = key(0).operation;
    header.stamp = stamp;
    const bool answers = header.type == transport::FrameType::accept || header.type == transport::FrameType::finish;
    header.bytes = answers ? send_sizes[which % send_sizes.size()] : sizes[which];
    const std::uint8_t how = next();
    if (header.type == transport::FrameType::offer) header.flags = how & 1;
    if (header.type == transport::FrameType::message)
      header.inline_bytes = static_cast<std::uint32_t>(std::min(header.bytes, std::uint64_t{eager_bytes}));
    if (header.type == transport::FrameType::data) {
      header.token = piece_bytes * (receives_[which].pieces_fed++ ^ (how & 1));  // two odd ones in a row change places
      const std::uint64_t left = header.bytes - std::min(header.bytes, header.token);
      header.inline_bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, piece_bytes));
    }
    if (header.type == transport::FrameType::offer) header.token = how;
    if ((how & 0xf0) == 0xf0) {  // one field turned into something else
      std::array<std::byte, sizeof header> bytes;
      std::memcpy(bytes.data(), &header, sizeof header);
      bytes[next() % bytes.size()] = static_cast<std::byte>(next());
      std::memcpy(&header, bytes.data(), sizeof header);
    }
    // Pieces go where the script says, other frames only now and then.
    const bool is_piece = header.type == transport::FrameType::data;
    if (is_piece) lane_ = (how >> 1) % links_.size();
    ByteLink& to = is_piece || (how & 0xf0) == 0xe0 ? link() : *links_.front();
    to.feed({reinterpret_cast<const std::byte*>(&header), sizeof header});
    const std::vector<std::byte> payload(std::min<std::size_t>(header.inline_bytes, 4096), std::byte{0x5a});
    to.feed(payload);
  }
  void progress(int rounds) {
    for (int i = 0; i < rounds; ++i) endpoint_.progress();
    check_guards();
  }
  void give_back() {
    for (auto& each : receives_) {
      if (each.posted && each.request.state == transport::RequestState::done && each.request.borrowed != nullptr) {
        endpoint_.give_back(each.request);
        each.given_back = true;
      }
    }
  }

  void told() noexcept {
    if (ended_) broken("the listener is told nothing after the end");
  }
  void check_guards() {
    for (const auto& each : receives_) {
      const auto intact = [&](std::size_t from) {
        return std::all_of(each.memory.begin() + static_cast<std::ptrdiff_t>(from),
                           each.memory.begin() + static_cast<std::ptrdiff_t>(from + guard),
                           [](std::byte b) { return b == guard_byte; });
      };
      if (!intact(0) || !intact(each.memory.size() - guard)) broken("nothing is written outside a posted destination");
      if (!each.posted &&
          std::any_of(each.memory.begin(), each.memory.end(), [](std::byte b) { return b != guard_byte; })) {
        broken("nothing is written before a receive is posted");
      }
      if (each.posted && each.request.arrived > each.request.bytes) broken("no more arrives than was asked for");
      if (each.posted && each.request.state == transport::RequestState::done &&
          each.request.arrived != each.request.bytes) {
        broken("done means whole");
      }
    }
  }
  void check_end() {
    check_guards();
    if (!ended_) broken("a peer that has ended is reported");
    if (corrupted_.size() > 1) broken("corruption is reported once");
    for (const auto& each : receives_) {
      if (each.posted && each.request.state == transport::RequestState::pending)
        broken("no receive stays pending after the end");
    }
    for (const auto& each : sends_) {
      if (each.state == transport::RequestState::pending) broken("no send stays pending after the end");
    }
    const auto unread = [](const ByteLink* link) { return link->unread() != 0; };
    if (corrupted_.empty() && !ended_early_ && std::any_of(links_.begin(), links_.end(), unread))
      broken("everything is read unless the peer is given up");
  }
  ByteLink& link() { return *links_[lane_]; }
  void broken(const char* promise) {
    if (broken_.empty()) broken_ = promise;
  }

  transport::Endpoint endpoint_;
  std::vector<ByteLink*> links_;
  std::size_t lane_ = 0;  // what the script speaks of
  bool ended_early_ = false;
  std::vector<std::byte> own_memory_;
  std::vector<std::byte> peer_memory_;
  std::array<Receive, sizes.size()> receives_;
  std::array<transport::SendRequest, send_sizes.size()> sends_;
  std::span<const std::byte> script_;
  bool ended_ = false;
  std::vector<std::string> corrupted_;
  std::size_t mismatches_ = 0;
  std::string broken_;
};

}  // namespace trireme::testing
