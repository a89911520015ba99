// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace trireme::testing {

/// Which steps of which workers are slow.
enum class Stragglers : unsigned char {
  none,
  one,    ///< in a share of the steps one worker, drawn anew each time
  each,   ///< every worker in a share of its own steps, whatever the others do
  worker  ///< one worker in all steps
};

struct StragglingOptions {
  Stragglers who = Stragglers::none;
  double share = 0.1;        ///< of steps, in [0, 1]; of `one` and `each`
  std::uint32_t worker = 0;  ///< of `worker`
  double factor = 5.0;       ///< how many times as long a slow step takes, at least 1
  /// Of a step that is not slow: computation that is not done but waited for.
  std::chrono::microseconds computation{0};
  std::uint64_t seed = 1;
};

/// "none", "one:SHARE", "each:SHARE" or "worker:W", the latter three with ":FACTOR" behind them or not: `options` with that.
/// Errors: invalid_argument naming the text.
StragglingOptions parse_stragglers(std::string_view text, StragglingOptions options = {});
std::string to_string(const StragglingOptions& options);

/// Computation in a laboratory: workers that sleep in place of it, some of them longer. So a few processors are enough for many
/// workers, and what a way to train makes of slow ones is seen without slow machines. A function of (seed, worker, step) and nothing else:
/// with a word u of Philox for each step (`one`) or worker and step (`each`), slow is u < share * 2^64; whom `one` slows is the next word
/// modulo the workers.
/// Threads: any.
class Straggling {
 public:
  /// Errors: invalid_argument for a share, factor or worker out of range.
  Straggling(const StragglingOptions& options, std::uint32_t workers);

  bool is_slow(std::uint32_t worker, std::uint64_t step) const;
  std::chrono::microseconds computation(std::uint32_t worker, std::uint64_t step) const;
  /// Sleeps as long as that.
  void compute(std::uint32_t worker, std::uint64_t step) const;
  const StragglingOptions& options() const { return options_; }

 private:
  StragglingOptions options_;
  std::uint32_t workers_;
};

}  // namespace trireme::testing
