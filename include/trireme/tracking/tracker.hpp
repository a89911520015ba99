// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trireme::tracking {

/// What was measured behind a step.
struct Measurement {
  std::uint64_t step = 0;
  std::chrono::system_clock::time_point time{};
  std::map<std::string, double> metrics{};     ///< name -> value, which may be no number
  std::optional<double> done{};                ///< of the whole run, 0 to 1
  std::optional<std::chrono::seconds> left{};  ///< until its end, as far as can be told
};

/// How a run ended.
enum class Ending : unsigned char { finished, failed, interrupted };

/// Where the course of a run is reported: a service, or a file that somebody reads. Of rank 0 alone.
///
/// A tracker never holds up training and never ends it: what it cannot deliver it keeps for a while, and at last drops with
/// one warning. Only its factory throws, for settings that cannot work.
/// Threads: one caller.
class Tracker {
 public:
  virtual ~Tracker() = default;
  /// Settings of the run, once.
  virtual void parameters(const std::map<std::string, std::string>& values) noexcept = 0;
  virtual void tag(const std::string& name, const std::string& value) noexcept = 0;
  virtual void log(const Measurement& measurement) noexcept = 0;
  /// Delivers what is left, for at most `patience`; nothing may be told afterwards.
  virtual void finish(Ending ending, std::chrono::milliseconds patience) noexcept = 0;
  /// Ends a call that waits for a network, soon. Threads: any, while another is in a call.
  virtual void give_up() noexcept {}
};

/// All of `trackers` as one. finish() asks all at once: one that uses up its time costs the others none of theirs.
std::unique_ptr<Tracker> all_of(std::vector<std::unique_ptr<Tracker>> trackers);

}  // namespace trireme::tracking
