// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace trireme::testing {

/// The release-acquire memory of C++ for ranks that are stepped one after the other: a load may return any store that
/// neither coherence nor happens-before has hidden, chosen by a seed, and makes the storer's past the loader's own.
/// Plain memory is watched: a read or write that does not happen after the last write (and a write that does not happen
/// after every read) is a data race, whatever the machine at hand would have made of it.
/// Source: the view machine of Kang, Hur, Lahav, Vafeiadis, Dreyer, A promising semantics for relaxed-memory
///         concurrency, POPL 2017, without promises; races by vector clocks as in FastTrack (PLDI 2009).
class ReleaseAcquire {
 public:
  ReleaseAcquire(std::size_t ranks, std::uint64_t seed)
      : clocks_(ranks, Clock(ranks, 0)), seen_(ranks), random_(seed) {}

  /// Who acts from now on.
  void turn_to(std::size_t rank) { now_ = rank; }
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }

  std::uint64_t load(const void* flag) {
    const auto& history = histories_[flag];
    std::size_t& first = seen_[now_][flag];
    for (std::size_t v = history.size(); v > first; --v) {
      if (happened(history[v - 1].at, history[v - 1].by)) {
        first = v;  // older ones are hidden; version 0 is the initial zero
        break;
      }
    }
    const std::size_t version = first + pick(history.size() + 1 - first);
    first = version;
    if (version == 0) return 0;
    const Store& store = history[version - 1];
    for (std::size_t r = 0; r < clocks_.size(); ++r) clocks_[now_][r] = std::max(clocks_[now_][r], store.past[r]);
    return store.value;
  }
  void store(const void* flag, std::uint64_t value) {
    auto& history = histories_[flag];
    if (!history.empty() && history.back().by != now_) complain("a flag has two writers");
    if (!history.empty() && history.back().value >= value) complain("a flag did not grow");
    const std::uint64_t at = ++clocks_[now_][now_];
    history.push_back({value, now_, at, clocks_[now_]});
    seen_[now_][flag] = history.size();
  }
  void read(const void* place) {
    Plain& plain = plain_[place];
    if (plain.written && !happened(plain.write_at, plain.writer)) complain("a read races with a write");
    if (plain.reads.empty()) plain.reads.assign(clocks_.size(), 0);
    plain.reads[now_] = ++clocks_[now_][now_];
  }
  void write(const void* place) {
    Plain& plain = plain_[place];
    if (plain.written && !happened(plain.write_at, plain.writer)) complain("two writes race");
    for (std::size_t r = 0; r < plain.reads.size(); ++r) {
      if (plain.reads[r] != 0 && !happened(plain.reads[r], r)) complain("a write races with a read");
    }
    plain.written = true;
    plain.writer = now_;
    plain.write_at = ++clocks_[now_][now_];
  }
  void complain(const std::string& what) {
    if (complaint_.empty()) complaint_ = "rank " + std::to_string(now_) + ": " + what;
  }
  const std::string& complaint() const { return complaint_; }

 private:
  using Clock = std::vector<std::uint64_t>;
  struct Store {
    std::uint64_t value;
    std::size_t by;
    std::uint64_t at;
    Clock past;
  };
  struct Plain {
    bool written = false;
    std::size_t writer = 0;
    std::uint64_t write_at = 0;
    Clock reads;
  };
  bool happened(std::uint64_t at, std::size_t rank) const { return clocks_[now_][rank] >= at; }

  std::vector<Clock> clocks_;
  std::vector<std::map<const void*, std::size_t>> seen_;  // per rank: the version it may not go behind
  std::map<const void*, std::vector<Store>> histories_;
  std::map<const void*, Plain> plain_;
  std::mt19937_64 random_;
  std::size_t now_ = 0;
  std::string complaint_;
};

}  // namespace trireme::testing
