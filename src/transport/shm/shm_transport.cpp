// SPDX-License-Identifier: Apache-2.0
#include "transport/admission.hpp"
#include "transport/ring_link.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/net/socket.hpp"
#include "trireme/net/wire.hpp"
#include "trireme/transport/arena.hpp"
#include "trireme/transport/shm.hpp"

#include <array>
#include <cerrno>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace trireme::transport {
namespace {

constexpr std::size_t capacity = 256 * 1024;

/// Two rings in one segment: first the connecting side's, then the accepting side's.
class Segment {
 public:
  /// A new sealed segment.
  Segment() : descriptor_(::memfd_create("trireme-link", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
    if (!descriptor_.is_open()) fail_system("memfd_create", errno);
    if (::ftruncate(descriptor(), static_cast<off_t>(bytes())) != 0 ||
        ::fcntl(descriptor(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
      fail_system("sizing a shared-memory segment", errno);
    }
    map();
  }
  /// The peer's segment.
  explicit Segment(net::Socket theirs) : descriptor_(std::move(theirs)) {
    struct stat status {};
    const int seals = ::fcntl(descriptor(), F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || ::fstat(descriptor(), &status) != 0 ||
        static_cast<std::size_t>(status.st_size) != bytes()) {
      fail(ErrorCode::corrupt, "the peer's shared-memory segment has another size or is not sealed");
    }
    map();
  }
  ~Segment() { ::munmap(base_, bytes()); }
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  int descriptor() const { return descriptor_.descriptor(); }
  RingHeader* ring(int which) const {
    return reinterpret_cast<RingHeader*>(base_ + static_cast<std::size_t>(which) * stride());
  }

 private:
  static constexpr std::size_t stride() { return (ring_bytes(capacity) + 4095) / 4096 * 4096; }
  static constexpr std::size_t bytes() { return 2 * stride(); }
  void map() {
    void* base = ::mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor(), 0);
    if (base == MAP_FAILED) fail_system("mapping a shared-memory segment", errno);
    base_ = static_cast<std::byte*>(base);
  }
  net::Socket descriptor_;
  std::byte* base_ = nullptr;
};

class ShmLink final : public RingLink {
 public:
  ShmLink(net::Socket socket, std::unique_ptr<Segment> segment, bool connecting, std::shared_ptr<Arena> arena,
          net::Socket peer_doorbell, std::unique_ptr<PeerArena> peer_arena)
      : RingLink(RingWriter(segment->ring(connecting ? 0 : 1), capacity),
                 RingReader(segment->ring(connecting ? 1 : 0), capacity), peer_doorbell.descriptor()),
        socket_(std::move(socket)),
        segment_(std::move(segment)),
        arena_(std::move(arena)),
        doorbell_(std::move(peer_doorbell)),
        peer_arena_(std::move(peer_arena)) {}
  ~ShmLink() override { end(RingEnd::lost); }

  bool lend(const void* data, std::size_t bytes, std::uint64_t& token) const noexcept override {
    return arena_->contains(data, bytes, token);
  }
  std::byte* borrow(std::uint64_t token, std::size_t bytes) noexcept override { return peer_arena_->at(token, bytes); }
  int descriptor() const noexcept override { return socket_.descriptor(); }
  /// Nothing is ever sent on the socket: readable means that the peer's process has closed it or is gone.
  void check() noexcept override {
    std::byte byte;
    const auto got = ::recv(socket_.descriptor(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) peer_vanished();
  }

 private:
  net::Socket socket_;
  std::unique_ptr<Segment> segment_;
  std::shared_ptr<Arena> arena_;
  net::Socket doorbell_;
  std::unique_ptr<PeerArena> peer_arena_;
};

class ShmTransport final : public SocketTransport {
 public:
  explicit ShmTransport(const Membership& self) : self_(self), host_(net::host_identity()) {
    // A random name cannot be guessed or taken; the handshake decides who may use it.
    const std::string name = "trireme-" + net::JobKey::random().to_text().substr(0, 32);
    listener_ = net::listen_local(name);
    card_ = host_ + "/" + name;
  }

  std::string_view name() const override { return "shm"; }
  std::string card() const override { return card_; }
  bool reaches(std::string_view peer_card) const override {
    return peer_card.size() > host_.size() && peer_card.substr(0, host_.size()) == host_ &&
           peer_card[host_.size()] == '/';
  }

  net::Socket reach(int, std::string_view peer_card, Deadline deadline) override {
    return net::connect_local(peer_card.substr(host_.size() + 1), deadline);
  }

  std::unique_ptr<Link> introduce(int peer, net::Socket socket, Deadline deadline) const override {
    admit_as_client(socket, self_, peer, deadline);
    auto segment = std::make_unique<Segment>();
    send_reserve(socket, deadline);
    const std::array<int, 3> mine{segment->descriptor(), self_.doorbell->descriptor(), self_.arena->descriptor()};
    net::send_descriptors(socket, mine, deadline);
    const auto reserve = receive_reserve(socket, deadline);
    auto theirs = net::receive_descriptors(socket, 2, deadline);
    return link(std::move(socket), std::move(segment), true, std::move(theirs[0]), std::move(theirs[1]), reserve);
  }

  int listening_descriptor() const override { return listener_.descriptor(); }

  std::optional<net::Socket> take(Deadline deadline) override { return net::accept(listener_, deadline); }

  std::unique_ptr<Admission> admit(net::Socket socket, Deadline deadline, std::string& refusal) const override {
    const auto peer = admit_as_server(socket, self_, deadline, refusal);
    if (!peer) return nullptr;
    const auto reserve = receive_reserve(socket, deadline);
    auto theirs = net::receive_descriptors(socket, 3, deadline);
    auto segment = std::make_unique<Segment>(std::move(theirs[0]));
    send_reserve(socket, deadline);
    const std::array<int, 2> mine{self_.doorbell->descriptor(), self_.arena->descriptor()};
    net::send_descriptors(socket, mine, deadline);
    return std::make_unique<AdmittedLink>(
        *peer, link(std::move(socket), std::move(segment), false, std::move(theirs[1]), std::move(theirs[2]), reserve));
  }

 private:
  /// One connection is all that a link needs.
  class AdmittedLink final : public Admission {
   public:
    AdmittedLink(int peer, std::unique_ptr<Link> link) : Admission(peer), link_(std::move(link)) {}
    std::unique_ptr<Link> seat(std::string&) override { return std::move(link_); }

   private:
    std::unique_ptr<Link> link_;
  };

  void send_reserve(const net::Socket& socket, Deadline deadline) const {
    net::Writer writer;
    writer.u64(self_.arena->reserve());
    net::send_message(socket, writer.data(), deadline);
  }
  static std::size_t receive_reserve(const net::Socket& socket, Deadline deadline) {
    const auto message = net::receive_message(socket, 64, deadline);
    net::Reader reader(message);
    const std::uint64_t reserve = reader.u64();
    if (!reader.finished() || reserve == 0 || reserve > (std::uint64_t{1} << 46)) {
      fail(ErrorCode::corrupt, "a peer announced an impossible arena size");
    }
    return static_cast<std::size_t>(reserve);
  }
  std::unique_ptr<Link> link(net::Socket socket, std::unique_ptr<Segment> segment, bool connecting,
                             net::Socket doorbell, net::Socket arena, std::size_t reserve) const {
    auto peer_arena = std::make_unique<PeerArena>(arena.release(), reserve);
    return std::make_unique<ShmLink>(std::move(socket), std::move(segment), connecting, self_.arena,
                                     std::move(doorbell), std::move(peer_arena));
  }

  Membership self_;
  std::string host_;
  net::Socket listener_;
  std::string card_;
};

}  // namespace

std::unique_ptr<Transport> make_shm_transport(const Membership& self) { return std::make_unique<ShmTransport>(self); }

}  // namespace trireme::transport
