// SPDX-License-Identifier: Apache-2.0
#include "transport/ring_link.hpp"
#include "trireme/base/error.hpp"
#include "trireme/transport/arena.hpp"
#include "trireme/transport/mem.hpp"

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include <sys/mman.h>

namespace trireme::transport {

namespace {

constexpr std::size_t capacity = 64 * 1024;

/// A zeroed ring of its own pages.
class RingMemory {
 public:
  RingMemory() {
    void* memory = ::mmap(nullptr, ring_bytes(capacity), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail_system("mapping a ring", errno);
    header_ = static_cast<RingHeader*>(memory);
  }
  ~RingMemory() { ::munmap(header_, ring_bytes(capacity)); }
  RingMemory(const RingMemory&) = delete;
  RingMemory& operator=(const RingMemory&) = delete;
  RingHeader* header() const { return header_; }

 private:
  RingHeader* header_;
};

}  // namespace

struct MemNetwork::Contents {
  explicit Contents(int world)
      : world_size(world),
        rings(static_cast<std::size_t>(world) * static_cast<std::size_t>(world)),
        members(static_cast<std::size_t>(world)) {}
  struct Member {
    std::shared_ptr<Arena> arena;
    std::shared_ptr<Doorbell> doorbell;
  };

  RingHeader* ring(int from, int to) {
    std::lock_guard lock(mutex);
    auto& slot =
        rings[static_cast<std::size_t>(from) * static_cast<std::size_t>(world_size) + static_cast<std::size_t>(to)];
    if (!slot) slot = std::make_unique<RingMemory>();
    return slot->header();
  }

  const int world_size;
  std::mutex mutex;
  std::condition_variable joined;
  std::vector<std::unique_ptr<RingMemory>> rings;  // [from][to]
  std::vector<Member> members;
};

namespace {

class MemLink final : public RingLink {
 public:
  MemLink(std::shared_ptr<MemNetwork::Contents> network, MemNetwork::Contents::Member self,
          MemNetwork::Contents::Member peer, int rank, int peer_rank)
      : RingLink(RingWriter(network->ring(rank, peer_rank), capacity),
                 RingReader(network->ring(peer_rank, rank), capacity), peer.doorbell->descriptor()),
        network_(std::move(network)),
        self_(std::move(self)),
        peer_(std::move(peer)) {}
  ~MemLink() override { end(RingEnd::lost); }

  bool lend(const void* data, std::size_t bytes, std::uint64_t& token) const noexcept override {
    return self_.arena->contains(data, bytes, token);
  }
  std::byte* borrow(std::uint64_t token, std::size_t bytes) noexcept override {
    const std::size_t reserve = peer_.arena->reserve();
    return token <= reserve && bytes <= reserve - token ? peer_.arena->base() + token : nullptr;
  }
  int descriptor() const noexcept override { return -1; }
  void check() noexcept override {}

 private:
  std::shared_ptr<MemNetwork::Contents> network_;  // keeps the rings
  MemNetwork::Contents::Member self_;
  MemNetwork::Contents::Member peer_;  // keeps the peer's arena readable
};

class MemTransport final : public Transport {
 public:
  MemTransport(std::shared_ptr<MemNetwork::Contents> network, const Membership& self)
      : network_(std::move(network)), rank_(self.rank), self_{self.arena, self.doorbell} {
    std::lock_guard lock(network_->mutex);
    network_->members[static_cast<std::size_t>(rank_)] = self_;
    network_->joined.notify_all();
  }

  std::string_view name() const override { return "mem"; }
  std::string card() const override { return "mem"; }
  bool reaches(std::string_view peer_card) const override { return peer_card == "mem"; }

  std::unique_ptr<Link> connect(int peer, std::string_view, Deadline deadline) override {
    MemNetwork::Contents::Member other;
    {
      std::unique_lock lock(network_->mutex);
      auto& slot = network_->members[static_cast<std::size_t>(peer)];
      const auto here = [&] { return slot.arena != nullptr; };
      if (deadline.is_never()) {
        network_->joined.wait(lock, here);
      } else if (!network_->joined.wait_until(lock, deadline.moment(), here)) {
        fail(ErrorCode::timeout, "rank " + std::to_string(peer) + " has not opened its world");
      }
      other = slot;
    }
    return std::make_unique<MemLink>(network_, self_, std::move(other), rank_, peer);
  }
  int listening_descriptor() const override { return -1; }
  std::pair<int, std::unique_ptr<Link>> accept(Deadline, std::string&) override { return {-1, nullptr}; }

 private:
  std::shared_ptr<MemNetwork::Contents> network_;
  int rank_;
  MemNetwork::Contents::Member self_;
};

}  // namespace

MemNetwork::MemNetwork(int world_size) : contents_(std::make_shared<Contents>(world_size)) {}
MemNetwork::~MemNetwork() = default;

std::unique_ptr<Transport> make_mem_transport(const MemNetwork& network, const Membership& self) {
  return std::make_unique<MemTransport>(network.contents(), self);
}

}  // namespace trireme::transport
