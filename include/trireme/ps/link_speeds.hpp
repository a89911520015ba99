// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/comm/communicator.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace trireme::ps {

/// What the links between ranks carry now, in bytes per second each way.
struct LinkSpeeds {
  std::size_t ranks = 0;
  std::vector<double> bytes_per_second;  ///< [a * ranks + b], the same as [b * ranks + a]; of a rank with itself 0
  double between(std::size_t a, std::size_t b) const { return bytes_per_second[a * ranks + b]; }

  struct Link {
    std::size_t a = 0, b = 0;
    double bytes_per_second = 0.0;
  };
  /// Shape: two ranks or more.
  Link slowest() const;
  double median() const;
  /// The slowest link that is well; 0: all are. A link below `share` of the median is ill, unless others are much more so: of the links in
  /// ascending order those before the widest gap, as a ratio, that begins below that share. Limiters let bursts through, so links
  /// that are equally well were seen to differ tenfold.
  double least_of_well(double share = 1.0 / 3) const;
  /// Ranks all of whose links are well: beside them servers may stand. All of them where that leaves none.
  std::vector<std::size_t> well_connected(double share = 1.0 / 3) const;
  /// Of an all_reduce of n bytes by exchanging parts among P ranks: the slowest link's 2 n / P, or a rank's 2 n (P - 1) / P over
  /// usual links, whichever takes longer.
  double all_reduce_seconds(Bytes gradients) const;
  /// Of n bytes to S servers with equal shares beside ranks, and back, over usual links: a server's 2 n (P - 1) / S, or a rank's 2 n.
  double servers_seconds(Bytes gradients, std::size_t servers) const;
  /// "the link between ranks 1 and 3 carries 1 Mbit/s, half of all carry 200 Mbit/s or more".
  std::string to_string() const;

 private:
  std::vector<double> ascending() const;
};

/// Measures every link of the communicator by an exchange of `payload` each way, in rounds in which every rank has one partner. A
/// payload should be several times what a limiter of the link lets through at once, often 16 KiB. The best of three counts, but
/// behind an exchange that took `slow` or longer there is no further one: a link so ill is waited for once.
/// Collective. Every rank has the same result.
/// Cost: P - 1 rounds (P for odd P) of the slowest link's exchanges among them, and an all_gather.
LinkSpeeds measure_links(Communicator communicator, Bytes payload = Bytes{65'536},
                         std::chrono::milliseconds slow = std::chrono::milliseconds(400));

}  // namespace trireme::ps
