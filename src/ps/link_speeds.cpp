// SPDX-License-Identifier: Apache-2.0
#include "trireme/ps/link_speeds.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <span>

namespace trireme::ps {
namespace {

/// The partner of `rank` in a round of a tournament of `seats`, an even number (Kirkman's circle).
std::size_t partner_in(std::size_t round, std::size_t rank, std::size_t seats) {
  const std::size_t turning = seats - 1;
  if (rank == turning) return round;
  if (rank == round) return turning;
  return (2 * round + turning - rank) % turning;
}

std::string speed_text(double bytes_per_second) {
  char text[48];
  const double bits = 8 * bytes_per_second;
  if (bits < 1e9)
    std::snprintf(text, sizeof text, "%.3g Mbit/s", bits / 1e6);
  else
    std::snprintf(text, sizeof text, "%.3g Gbit/s", bits / 1e9);
  return text;
}

}  // namespace

LinkSpeeds::Link LinkSpeeds::slowest() const {
  Link least{0, 1, between(0, 1)};
  for (std::size_t a = 0; a < ranks; ++a) {
    for (std::size_t b = a + 1; b < ranks; ++b) {
      if (between(a, b) < least.bytes_per_second) least = {a, b, between(a, b)};
    }
  }
  return least;
}

std::vector<double> LinkSpeeds::ascending() const {
  std::vector<double> all;
  for (std::size_t a = 0; a < ranks; ++a) {
    for (std::size_t b = a + 1; b < ranks; ++b) all.push_back(between(a, b));
  }
  std::sort(all.begin(), all.end());
  return all;
}

double LinkSpeeds::median() const {
  const std::vector<double> all = ascending();
  return all.empty() ? 0.0 : all[all.size() / 2];
}

double LinkSpeeds::least_of_well(double share) const {
  const std::vector<double> all = ascending();
  double least = 0.0, widest = 0.0;
  for (std::size_t i = 0; i + 1 < all.size() && all[i] < share * all[all.size() / 2]; ++i) {
    const double gap = all[i + 1] / std::max(all[i], 1e-9);
    if (gap <= widest) continue;
    widest = gap;
    least = all[i + 1];
  }
  return least;
}

std::vector<std::size_t> LinkSpeeds::well_connected(double share) const {
  const double least = least_of_well(share);
  std::vector<std::size_t> well, all;
  for (std::size_t a = 0; a < ranks; ++a) {
    bool is_well = true;
    for (std::size_t b = 0; b < ranks; ++b) is_well = is_well && (a == b || between(a, b) >= least);
    if (is_well) well.push_back(a);
    all.push_back(a);
  }
  return well.empty() ? all : well;
}

double LinkSpeeds::all_reduce_seconds(Bytes gradients) const {
  if (ranks < 2) return 0.0;
  const double part = static_cast<double>(gradients.value) / static_cast<double>(ranks);
  return std::max(2 * static_cast<double>(ranks - 1) * part / median(), 2 * part / slowest().bytes_per_second);
}

double LinkSpeeds::servers_seconds(Bytes gradients, std::size_t servers) const {
  if (ranks < 2) return 0.0;
  const double all = static_cast<double>(gradients.value);
  const double part = all / static_cast<double>(std::max<std::size_t>(servers, 1));
  return std::max(2 * static_cast<double>(ranks - 1) * part, 2 * all) / median();
}

std::string LinkSpeeds::to_string() const {
  if (ranks < 2) return "there is no link";
  const Link link = slowest();
  return "the link between ranks " + std::to_string(link.a) + " and " + std::to_string(link.b) + " carries " +
         speed_text(link.bytes_per_second) + ", half of all carry " + speed_text(median()) + " or more";
}

LinkSpeeds measure_links(Communicator communicator, Bytes payload, std::chrono::milliseconds slow) {
  const auto ranks = static_cast<std::size_t>(communicator.size()),
             rank = static_cast<std::size_t>(communicator.rank());
  LinkSpeeds speeds{.ranks = ranks, .bytes_per_second = std::vector<double>(ranks * ranks, 0.0)};
  if (ranks < 2) return speeds;
  const std::size_t seats = ranks + ranks % 2;  // of an odd number one sits out in each round
  std::vector<double> own(ranks, 0.0);
  std::vector<std::byte> out(std::max<std::uint64_t>(payload.value, 1)), in(out.size());
  const auto exchange = [&](int peer, std::span<const std::byte> from, std::span<std::byte> to) {
    Work coming = communicator.recv_async(TensorView(to.data(), to.size(), DType::u8), peer, {.label = "link probe"});
    communicator.send(ConstTensorView(from.data(), from.size(), DType::u8), peer, {.label = "link probe"});
    coming.wait();
  };
  /// Both are here, and what either asks for.
  const auto meet = [&](int peer, bool asks) {
    const std::array<std::byte, 1> said{static_cast<std::byte>(asks)};
    std::array<std::byte, 1> heard{};
    exchange(peer, said, heard);
    return asks || heard[0] != std::byte{0};
  };
  for (std::size_t round = 0; round + 1 < seats; ++round) {
    const std::size_t partner = partner_in(round, rank, seats);
    if (partner >= ranks) continue;
    const int peer = static_cast<int>(partner);
    // The best of a few: a rank that a busy machine holds up makes no link slow. What takes long is no such moment.
    bool is_slow = false;
    for (int attempt = 0; attempt < 3 && !meet(peer, is_slow); ++attempt) {
      const auto began = std::chrono::steady_clock::now();
      exchange(peer, out, in);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
      own[partner] = std::max(own[partner], static_cast<double>(out.size()) / std::max(took.count(), 1e-9));
      is_slow = took >= slow;
    }
  }
  communicator.all_gather(std::span<const double>(own), std::span(speeds.bytes_per_second), {.label = "link speeds"});
  for (std::size_t a = 0; a < ranks; ++a) {
    for (std::size_t b = a + 1; b < ranks; ++b) {
      double& one = speeds.bytes_per_second[a * ranks + b];
      double& other = speeds.bytes_per_second[b * ranks + a];
      one = other = std::min(one, other);
    }
  }
  return speeds;
}

}  // namespace trireme::ps
