// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace trireme::cli {

/// Samples per second of training alone: what is not handed to add(), such as evaluation, does not count.
class Throughput {
 public:
  /// Steps left out of samples_per_s() once there are more: caches, buffers and clocks settle in them.
  static constexpr std::uint64_t settling_steps = 20;

  void add(std::uint64_t samples, double seconds) {
    ++steps_;
    all_.add(samples, seconds);
    recent_.add(samples, seconds);
    if (steps_ > settling_steps) settled_.add(samples, seconds);
  }

  /// Of the whole run.
  double samples_per_s() const { return (steps_ > settling_steps ? settled_ : all_).rate(); }
  /// Since the last call of it.
  double take_recent() {
    const double rate = recent_.rate();
    recent_ = {};
    return rate;
  }
  /// Spent in steps, all of them.
  double seconds() const { return all_.seconds; }

 private:
  struct Sum {
    std::uint64_t samples = 0;
    double seconds = 0.0;
    void add(std::uint64_t more, double time) {
      samples += more;
      seconds += time;
    }
    double rate() const { return seconds > 0 ? static_cast<double>(samples) / seconds : 0.0; }
  };
  std::uint64_t steps_ = 0;
  Sum all_;
  Sum settled_;
  Sum recent_;
};

}  // namespace trireme::cli
