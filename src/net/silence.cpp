// SPDX-License-Identifier: Apache-2.0
#include "trireme/net/silence.hpp"

#include "trireme/net/socket.hpp"

#include <algorithm>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace trireme::net {
namespace {

constexpr unsigned attempts_needed = 3;
constexpr std::chrono::milliseconds grain{50};  // the kernel counts in ticks

}  // namespace

bool SilenceWatch::is_silent(const Socket& socket) noexcept {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(socket.descriptor(), IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return false;
  const auto now = Clock::now();
  const std::chrono::milliseconds age(info.tcpi_last_ack_recv);
  // Only what was sent in vain counts. If the last answer may have come since the last look, nothing is known to have
  // been sent after it.
  if (now - age + grain >= looked_) retransmitted_ = info.tcpi_total_retrans;
  looked_ = now;
  if (age < limit_) return false;
  // Retransmissions in a row, probes of a closed window in a row; a retransmission into a closed window counts as
  // neither and shows in the total alone. An answered one resets the first two.
  const unsigned attempts =
      std::max({static_cast<unsigned>(info.tcpi_retransmits), static_cast<unsigned>(info.tcpi_probes),
                info.tcpi_total_retrans - retransmitted_});
  return attempts >= attempts_needed;
}

}  // namespace trireme::net
