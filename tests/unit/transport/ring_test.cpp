// SPDX-License-Identifier: Apache-2.0
#include "transport/ring.hpp"

#include "trireme/transport/doorbell.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <poll.h>

using namespace trireme::transport;

namespace {

/// A ring with guard bytes behind it.
class Ring {
 public:
  explicit Ring(std::size_t capacity) : capacity_(capacity), bytes_(ring_bytes(capacity) + guard) {
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(128, (bytes_ + 127) / 128 * 128)));
    std::fill_n(memory_.get(), ring_bytes(capacity), std::byte{});
    std::fill_n(memory_.get() + ring_bytes(capacity), guard, std::byte{0xa5});
  }
  RingHeader* header() const { return reinterpret_cast<RingHeader*>(memory_.get()); }
  RingWriter writer() const { return {header(), capacity_}; }
  RingReader reader() const { return {header(), capacity_}; }
  bool guard_intact() const {
    return std::all_of(memory_.get() + ring_bytes(capacity_), memory_.get() + bytes_,
                       [](std::byte b) { return b == std::byte{0xa5}; });
  }

 private:
  static constexpr std::size_t guard = 256;
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::size_t capacity_;
  std::size_t bytes_;
  std::unique_ptr<std::byte, Free> memory_;
};

std::size_t write(RingWriter& writer, std::span<const std::byte> bytes) {
  const std::array<std::span<const std::byte>, 1> parts{bytes};
  return writer.write(parts);
}

/// The n-th byte ever written.
std::byte nth(std::uint64_t n) { return static_cast<std::byte>((n * 131 + (n >> 8) * 7) & 0xff); }

}  // namespace

TEST_CASE("a ring gives back what was written, in order, across its end") {
  Ring ring(64);
  auto writer = ring.writer();
  auto reader = ring.reader();
  std::uint64_t written = 0, read = 0;
  for (std::size_t size = 1; size <= 64; ++size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = nth(written + i);
    REQUIRE(write(writer, bytes) == size);
    written += size;
    std::vector<std::byte> got(size + 10);
    REQUIRE(reader.read(got) == size);
    for (std::size_t i = 0; i < size; ++i) REQUIRE(got[i] == nth(read + i));
    read += size;
  }
  std::array<std::byte, 8> none{};
  REQUIRE(reader.read(none) == 0);
  REQUIRE(!reader.has_bytes());
  REQUIRE(ring.guard_intact());
}

TEST_CASE("a full ring takes what fits of the parts, in order, and no more") {
  Ring ring(16);
  auto writer = ring.writer();
  auto reader = ring.reader();
  const std::vector<std::byte> a(10, std::byte{1}), b(10, std::byte{2}), c(10, std::byte{3});
  const std::array<std::span<const std::byte>, 3> parts{a, b, c};
  REQUIRE(writer.has_room());
  REQUIRE(writer.write(parts) == 16);
  REQUIRE(!writer.has_room());
  REQUIRE(write(writer, c) == 0);
  std::vector<std::byte> got(16);
  REQUIRE(reader.read(got) == 16);
  REQUIRE(std::count(got.begin(), got.begin() + 10, std::byte{1}) == 10);
  REQUIRE(std::count(got.begin() + 10, got.end(), std::byte{2}) == 6);
  REQUIRE(writer.has_room());
  REQUIRE(write(writer, {}) == 0);
  REQUIRE(!reader.has_bytes());
}

TEST_CASE("a hostile head makes the reader read no more than the ring holds, and inside it") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    Ring ring(64);
    auto reader = ring.reader();
    const std::uint64_t head = i < 4 ? ~std::uint64_t{0} - static_cast<std::uint64_t>(i) : random() >> (random() % 64);
    ring.header()->head = head;
    std::vector<std::byte> into(1000, std::byte{0x11});
    const std::size_t got = reader.read(into);
    REQUIRE(got <= 64);
    REQUIRE(std::all_of(into.begin() + static_cast<std::ptrdiff_t>(got), into.end(),
                        [](std::byte b) { return b == std::byte{0x11}; }));
    ring.header()->head = random();  // and backwards again
    REQUIRE(reader.read(into) <= 64);
  }
}

TEST_CASE("a hostile tail makes the writer write nothing outside the ring") {
  std::mt19937_64 random(2);
  for (int i = 0; i < 2000; ++i) {
    Ring ring(64);
    auto writer = ring.writer();
    const std::vector<std::byte> bytes(300, std::byte{0x77});
    REQUIRE(write(writer, std::span(bytes).first(40)) == 40);
    ring.header()->tail = i < 4 ? 41 + static_cast<std::uint64_t>(i) : random() >> (random() % 64);
    REQUIRE(write(writer, bytes) <= 64);
    ring.header()->tail = random();
    REQUIRE(write(writer, bytes) <= 64);
    REQUIRE(ring.guard_intact());
  }
}

TEST_CASE("the end mark keeps what it was set to") {
  Ring ring(16);
  auto writer = ring.writer();
  auto reader = ring.reader();
  REQUIRE(reader.ended() == RingEnd::open);
  writer.end(RingEnd::closed);
  REQUIRE(reader.ended() == RingEnd::closed);
  writer.end(RingEnd::lost);
  REQUIRE(reader.ended() == RingEnd::lost);
}

TEST_CASE("two threads move a stream of random pieces through a ring unchanged") {
  constexpr std::uint64_t total = 2'000'000;
  for (const std::size_t capacity : {std::size_t{64}, std::size_t{4096}}) {
    Ring ring(capacity);
    std::thread producer([&] {
      auto writer = ring.writer();
      std::mt19937 random(3);
      std::vector<std::byte> piece;
      for (std::uint64_t at = 0; at < total;) {
        piece.resize(std::min<std::uint64_t>(1 + random() % 300, total - at));
        for (std::size_t i = 0; i < piece.size(); ++i) piece[i] = nth(at + i);
        // As two parts, like a header and its payload.
        const std::size_t cut = random() % (piece.size() + 1);
        const std::array<std::span<const std::byte>, 2> parts{std::span<const std::byte>(piece).first(cut),
                                                              std::span<const std::byte>(piece).subspan(cut)};
        const std::size_t taken = writer.write(parts);
        if (taken == 0) std::this_thread::yield();
        at += taken;
      }
    });
    auto reader = ring.reader();
    std::mt19937 random(4);
    std::vector<std::byte> got(400);
    std::uint64_t wrong = 0;
    for (std::uint64_t at = 0; at < total;) {
      const std::size_t count = reader.read(std::span(got).first(1 + random() % 400));
      if (count == 0) std::this_thread::yield();
      for (std::size_t i = 0; i < count; ++i) wrong += got[i] != nth(at + i);
      at += count;
    }
    producer.join();
    REQUIRE(wrong == 0);
  }
}

TEST_CASE("no wake-up is lost between a writer and a reader that sleep") {
  // Both sides sleep whenever they can go no further; a lost wake-up would leave one of them asleep for ever.
  constexpr std::uint64_t total = 200'000;
  Ring ring(64);
  const Doorbell reader_bell, writer_bell;
  std::atomic<int> lost{0};
  const auto sleep = [&](const Doorbell& bell) {
    pollfd polled{bell.descriptor(), POLLIN, 0};
    if (::poll(&polled, 1, 20000) != 1) ++lost;
    bell.clear();
  };
  std::thread producer([&] {
    auto writer = ring.writer();
    std::mt19937 random(5);
    std::array<std::byte, 90> piece{};
    for (std::uint64_t at = 0; at < total && lost == 0;) {
      const std::size_t size = std::min<std::uint64_t>(1 + random() % piece.size(), total - at);
      for (std::size_t i = 0; i < size; ++i) piece[i] = nth(at + i);
      const std::size_t taken = write(writer, std::span(piece).first(size));
      at += taken;
      if (taken != 0) {
        if (writer.reader_must_wake()) reader_bell.ring();
        continue;
      }
      writer.set_sleeping(true);
      if (!writer.has_room()) sleep(writer_bell);
      writer.set_sleeping(false);
    }
  });
  auto reader = ring.reader();
  std::array<std::byte, 70> got{};
  std::uint64_t wrong = 0;
  for (std::uint64_t at = 0; at < total && lost == 0;) {
    const std::size_t count = reader.read(got);
    for (std::size_t i = 0; i < count; ++i) wrong += got[i] != nth(at + i);
    at += count;
    if (count != 0) {
      if (reader.writer_must_wake()) writer_bell.ring();
      continue;
    }
    reader.set_sleeping(true);
    if (!reader.has_bytes()) sleep(reader_bell);
    reader.set_sleeping(false);
  }
  producer.join();
  REQUIRE(lost == 0);
  REQUIRE(wrong == 0);
}

TEST_CASE("a doorbell stays rung until it is cleared") {
  const Doorbell bell;
  const auto readable = [&] {
    pollfd polled{bell.descriptor(), POLLIN, 0};
    return ::poll(&polled, 1, 0) == 1;
  };
  REQUIRE(!readable());
  bell.ring();
  bell.ring();
  REQUIRE(readable());
  bell.clear();
  REQUIRE(!readable());
  bell.clear();  // does not block
}
