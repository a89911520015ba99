// SPDX-License-Identifier: Apache-2.0
// What the shared-memory transport does with a peer that passes it the wrong things.
#include "transport/admission.hpp"
#include "trireme/net/host.hpp"
#include "trireme/net/wire.hpp"
#include "trireme/transport/arena.hpp"
#include "trireme/transport/doorbell.hpp"
#include "trireme/transport/shm.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <thread>

#include <fcntl.h>
#include <sys/mman.h>

using namespace trireme;

namespace {

int open_descriptors() {
  int count = 0;
  for (int descriptor = 0; descriptor < 1024; ++descriptor) count += ::fcntl(descriptor, F_GETFD) >= 0;
  return count;
}

transport::Membership member(int rank, const net::JobKey& key) {
  return {.job_id = "test",
          .epoch = 0,
          .rank = rank,
          .world_size = 2,
          .key = key,
          .arena = std::make_shared<transport::Arena>(Bytes{16u << 20}),
          .doorbell = std::make_shared<transport::Doorbell>()};
}

}  // namespace

TEST_CASE("a peer whose segment cannot be used costs no descriptor") {
  const auto key = net::JobKey::random();
  const auto self = member(0, key);
  const auto other = member(1, key);
  const auto acceptor = transport::make_shm_transport(self);
  const Deadline deadline = Deadline::after(std::chrono::seconds(20));
  const int before = open_descriptors();
  ErrorCode refused = ErrorCode::none;
  {
    std::thread accepting([&] {
      try {
        std::string refusal;
        static_cast<void>(acceptor->accept(deadline, refusal));
      } catch (const Exception& error) {
        refused = error.error().code;
      }
    });
    const std::string card = acceptor->card();
    net::Socket socket = net::connect_local(card.substr(net::host_identity().size() + 1), deadline);
    transport::admit_as_client(socket, other, 0, deadline);
    net::Writer reserve;
    reserve.u64(other.arena->reserve());
    net::send_message(socket, reserve.data(), deadline);
    // A file of no size and without seals.
    const net::Socket segment(::memfd_create("wrong", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    const std::array<int, 3> sent{segment.descriptor(), other.doorbell->descriptor(), other.arena->descriptor()};
    net::send_descriptors(socket, sent, deadline);
    accepting.join();
  }
  CHECK(refused == ErrorCode::corrupt);
  CHECK(open_descriptors() == before);
}
