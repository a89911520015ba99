// SPDX-License-Identifier: Apache-2.0
#include "trireme/transport/arena.hpp"

#include "support/failures.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <random>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace trireme;
using transport::Arena;
using transport::ArenaDirectory;
using transport::PeerArena;

using testing::error_of;

namespace {

constexpr std::size_t reserve = 16u << 20;

bool all_zero(std::span<const std::byte> range) {
  return std::all_of(range.begin(), range.end(), [](std::byte b) { return b == std::byte{}; });
}

int duplicate(const Arena& arena) { return ::fcntl(arena.descriptor(), F_DUPFD_CLOEXEC, 0); }

bool is_open(int descriptor) { return ::fcntl(descriptor, F_GETFD) >= 0; }

}  // namespace

TEST_CASE("arena ranges are zero, aligned, of the size asked for and apart") {
  Arena arena(Bytes{reserve});
  std::vector<std::span<std::byte>> ranges;
  for (const std::size_t bytes : {0u, 1u, 127u, 128u, 129u, 5000u, 100000u}) {
    const auto range = arena.allocate(bytes);
    REQUIRE(range.size() == bytes);
    REQUIRE(reinterpret_cast<std::uintptr_t>(range.data()) % Arena::alignment == 0);
    REQUIRE(all_zero(range));
    std::memset(range.data(), 0xff, range.size());
    ranges.push_back(range);
  }
  for (std::size_t i = 1; i < ranges.size(); ++i)
    REQUIRE(ranges[i - 1].data() + std::max<std::size_t>(ranges[i - 1].size(), 1) <= ranges[i].data());
}

TEST_CASE("what was given back is handed out again, first fit, and is zero again") {
  Arena arena(Bytes{reserve});
  const auto a = arena.allocate(1000);
  const auto b = arena.allocate(300);
  const auto c = arena.allocate(1000);
  std::memset(a.data(), 0xff, a.size());
  std::memset(c.data(), 0xff, c.size());
  arena.release(c);
  arena.release(a);
  const auto small = arena.allocate(200);  // both holes fit: the first is taken
  REQUIRE(small.data() == a.data());
  REQUIRE(all_zero(small));
  const auto rest = arena.allocate(1024 - 256);  // what the split left
  REQUIRE(rest.data() == a.data() + 256);
  const auto again = arena.allocate(1000);
  REQUIRE(again.data() == c.data());
  REQUIRE(all_zero(again));
  REQUIRE(b.data() == a.data() + 1024);
}

TEST_CASE("neighbouring holes become one") {
  // Freed in every order: in the end one hole takes what all three did.
  std::vector<int> order{0, 1, 2};
  do {
    Arena arena(Bytes{reserve});
    const std::array<std::span<std::byte>, 3> ranges{arena.allocate(1024), arena.allocate(1024), arena.allocate(1024)};
    const auto last = arena.allocate(128);
    for (const int i : order) arena.release(ranges[static_cast<std::size_t>(i)]);
    const auto whole = arena.allocate(3 * 1024);
    REQUIRE(whole.data() == ranges[0].data());
    arena.release(last);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("releasing what is not an arena range changes nothing") {
  Arena arena(Bytes{reserve});
  const auto a = arena.allocate(1024);
  std::vector<std::byte> foreign(10);
  arena.release(foreign);
  arena.release(a.subspan(128));
  arena.release({});
  const auto b = arena.allocate(128);
  REQUIRE(b.data() == a.data() + 1024);
  arena.release(a);
  arena.release(a);  // twice
  REQUIRE(arena.allocate(1024).data() == a.data());
  REQUIRE(arena.allocate(1024).data() != a.data());
}

TEST_CASE("a random history never hands out overlapping or dirty ranges") {
  Arena arena(Bytes{reserve});
  std::mt19937 random(99);
  std::vector<std::span<std::byte>> held;
  for (int i = 0; i < 2000; ++i) {
    if (held.size() < 30 && (held.empty() || random() % 2 == 0)) {
      const auto range = arena.allocate(random() % 5000);
      REQUIRE(all_zero(range));
      for (const auto& other : held)
        REQUIRE((range.data() >= other.data() + other.size() || range.data() + range.size() <= other.data()));
      std::memset(range.data(), 0xee, range.size());
      held.push_back(range);
    } else {
      const std::size_t which = random() % held.size();
      arena.release(held[which]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
    }
  }
  for (const auto& range : held) arena.release(range);
  REQUIRE(arena.allocate(50000).data() == arena.base() + Arena::directory_bytes);  // one hole at the beginning
}

TEST_CASE("an exhausted reserve says so and names the option") {
  Arena arena(Bytes{reserve});
  const auto most = arena.allocate(arena.reserve() - Arena::directory_bytes - 1024);
  const auto error = error_of([&] { arena.allocate(2048); });
  REQUIRE(error.code == ErrorCode::system);
  REQUIRE(error.message.find("exhausted") != std::string::npos);
  REQUIRE(error.message.find("Options::arena_reserve") != std::string::npos);
  REQUIRE(error_of([&] { arena.allocate(~std::size_t{0}); }).code == ErrorCode::system);
  REQUIRE(error_of([&] { arena.allocate(~std::size_t{0} - 100); }).code == ErrorCode::system);
  REQUIRE(arena.allocate(1024).size() == 1024);  // the failures took nothing
  arena.release(most);
  REQUIRE(arena.allocate(2048).data() == most.data());
}

TEST_CASE("unless told otherwise an arena reserves no more than every rank of a large host can map of every other") {
  Arena arena;
  REQUIRE(arena.reserve() > 0);
  REQUIRE(arena.reserve() <= std::size_t{64} << 30);
}

TEST_CASE("the arena knows its own memory") {
  Arena arena(Bytes{reserve});
  const auto range = arena.allocate(1000);
  std::uint64_t offset = 77;
  REQUIRE(arena.contains(range.data() + 10, 100, offset));
  REQUIRE(offset == static_cast<std::uint64_t>(range.data() - arena.base()) + 10);
  REQUIRE(arena.contains(arena.base(), arena.reserve(), offset));
  std::vector<std::byte> foreign(10);
  offset = 77;
  REQUIRE(!arena.contains(foreign.data(), 10, offset));
  REQUIRE(!arena.contains(arena.base() - 1, 10, offset));
  REQUIRE(!arena.contains(arena.base() + 1, arena.reserve(), offset));
  REQUIRE(!arena.contains(arena.base() + arena.reserve() - 5, 6, offset));
  REQUIRE(!arena.contains(arena.base() + 5, ~std::size_t{0}, offset));
  REQUIRE(!arena.contains(nullptr, 0, offset));
  REQUIRE(offset == 77);
}

TEST_CASE("the arena's file can grow and can never shrink") {
  Arena arena(Bytes{reserve});
  const auto range = arena.allocate(1000);
  REQUIRE(range.size() == 1000);
  struct stat status {};
  REQUIRE(::fstat(arena.descriptor(), &status) == 0);
  REQUIRE(status.st_size > 0);
  REQUIRE(::ftruncate(arena.descriptor(), 0) != 0);
  REQUIRE(::ftruncate(arena.descriptor(), status.st_size + 4096) == 0);
  REQUIRE((::fcntl(arena.descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a peer sees the arena's bytes, also those of ranges made after it was mapped") {
  Arena arena(Bytes{reserve});
  PeerArena peer(duplicate(arena), arena.reserve());
  std::uint64_t offset = 0;
  for (const std::size_t bytes : {std::size_t{1000}, std::size_t{5} << 20}) {  // the second makes the file grow
    const auto range = arena.allocate(bytes);
    REQUIRE(arena.contains(range.data(), bytes, offset));
    std::memset(range.data(), 0x42, bytes);
    const std::byte* seen = peer.at(offset, bytes);
    REQUIRE(seen != nullptr);
    REQUIRE(seen != range.data());
    REQUIRE(std::memcmp(seen, range.data(), bytes) == 0);
  }
}

TEST_CASE("a peer's token reaches no byte outside the file") {
  Arena arena(Bytes{reserve});
  PeerArena peer(duplicate(arena), arena.reserve());
  // Behind the directory nothing is allocated yet: touching what lies beyond the file would be SIGBUS.
  REQUIRE(peer.at(0, Arena::directory_bytes) != nullptr);
  REQUIRE(peer.at(arena.reserve() - 1, 1) == nullptr);
  const auto range = arena.allocate(100);
  REQUIRE(range.size() == 100);
  struct stat status {};
  REQUIRE(::fstat(arena.descriptor(), &status) == 0);
  const auto size = static_cast<std::size_t>(status.st_size);
  REQUIRE(size < arena.reserve());
  REQUIRE(peer.at(0, size) != nullptr);
  REQUIRE(peer.at(0, size + 1) == nullptr);
  REQUIRE(peer.at(size - 1, 1) != nullptr);
  REQUIRE(peer.at(size, 1) == nullptr);
  REQUIRE(peer.at(arena.reserve(), 1) == nullptr);
  REQUIRE(peer.at(1, arena.reserve()) == nullptr);
  REQUIRE(peer.at(~std::uint64_t{0}, 2) == nullptr);
  REQUIRE(peer.at(2, ~std::size_t{0}) == nullptr);
}

TEST_CASE("peers find in the directory what the owner has published, and nothing else") {
  Arena arena(Bytes{reserve});
  PeerArena peer(duplicate(arena), arena.reserve());
  const auto& seen = *reinterpret_cast<const ArenaDirectory*>(peer.at(0, sizeof(ArenaDirectory)));
  std::uint64_t offset = 0;
  REQUIRE(!seen.find(7, offset));
  REQUIRE(arena.directory().publish(7, 4096));
  REQUIRE(arena.directory().publish(8, 8192));
  REQUIRE(seen.find(7, offset));
  REQUIRE(offset == 4096);
  REQUIRE(seen.find(8, offset));
  REQUIRE(offset == 8192);
  arena.directory().withdraw(7);
  REQUIRE(!seen.find(7, offset));
  REQUIRE(seen.find(8, offset));
  for (std::uint64_t key = 9; key < 8 + ArenaDirectory::capacity; ++key) REQUIRE(arena.directory().publish(key, key));
  REQUIRE(!arena.directory().publish(~std::uint64_t{0}, 1));  // full, and says so
}

TEST_CASE("a descriptor that could shrink under the reader is refused and closed") {
  const int unsealed = ::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  REQUIRE(unsealed >= 0);
  REQUIRE(error_of([&] { PeerArena peer(unsealed, reserve); }).code == ErrorCode::corrupt);
  REQUIRE(!is_open(unsealed));
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  REQUIRE(error_of([&] { PeerArena peer(ends[0], reserve); }).code == ErrorCode::corrupt);
  REQUIRE(!is_open(ends[0]));
  ::close(ends[1]);
}
