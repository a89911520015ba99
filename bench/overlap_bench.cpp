// SPDX-License-Identifier: Apache-2.0
// Does an asynchronous all_reduce move while the caller computes? Per size and round, in turn: the computation alone, the
// all_reduce alone, and both at once, in two ways: `sliced`, with progress() between slices of the computation, and
// `silent`, without any call into the library. Beside the times stands a count: in how many rounds the operation had
// ended before wait() was called, by the flight recorder, which drives nothing. Every result is checked.
#include "bench/overlap/options.hpp"
#include "bench/overlap/placement.hpp"
#include "bench/overlap/private_work.hpp"
#include "bench/overlap/recorded_times.hpp"
#include "trireme/base/error.hpp"
#include "trireme/world/world.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace trireme::bench {
namespace {

using Clock = std::chrono::steady_clock;

/// What a round measures, in seconds.
enum Phase : std::size_t { compute, blocking, unattended, sliced, silent, phases };

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

std::int64_t nanoseconds(Clock::time_point moment) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(moment.time_since_epoch()).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class SizeBench {
 public:
  SizeBench(World& world, const OverlapOptions& options, bool progress_thread, std::size_t bytes)
      : all_(world.communicator()),
        own_(*all_.split(0, all_.rank())),  // its recorder then holds the operations of this size only
        options_(options),
        progress_thread_(progress_thread),
        buffer_(world.memory().allocate<float>(bytes / sizeof(float))),
        data_(buffer_.as<float>()) {}

  void run() {
    choose_passes(first_guess());
    // Between other calls an all_reduce may take longer than one after the other: what counts is measured as it will be.
    constexpr std::size_t trial_rounds = 7;
    choose_passes(communication(measure_rounds(trial_rounds)));
    skipped_ = trial_rounds;
    report(measure_rounds(options_.rounds));
  }

 private:
  using Times = std::array<std::vector<double>, phases>;  ///< by round, of the slowest rank

  Times measure_rounds(std::size_t rounds) {
    for (auto& each : computed_) each.clear();
    Times times;
    for (std::size_t round = 0; round < rounds; ++round) {
      // Each round begins with another phase: what the machine does over time meets all alike.
      for (std::size_t i = 0; i < phases; ++i) {
        const auto phase = static_cast<Phase>((i + round) % phases);
        if (phase == unattended && !progress_thread_) continue;
        times[phase].push_back(measure(phase));
      }
    }
    if (progress_thread_) times[unattended] = unattended_times();
    for (auto& each : times) {
      if (!each.empty()) all_.all_reduce(std::span<double>(each), maximum);
    }
    return times;
  }

  /// What one all_reduce takes by whoever is to do it while the ranks compute.
  double communication(const Times& times) const { return median(times[progress_thread_ ? unattended : blocking]); }

  void fill() {
    for (std::size_t i = 0; i < data_.size(); ++i)
      data_[i] = static_cast<float>((all_.rank() + 1) * static_cast<int>(i % 1021));
  }
  /// All sums are whole numbers that f32 holds exactly, for up to a hundred ranks.
  void check() const {
    const int factor = all_.size() * (all_.size() + 1) / 2;
    for (std::size_t i = 0; i < data_.size(); ++i) {
      if (data_[i] != static_cast<float>(factor * static_cast<int>(i % 1021)))
        fail(ErrorCode::corrupt, "element " + std::to_string(i) + " of the sum is wrong");
    }
  }

  double measure(Phase phase) {
    if (phase == compute) return time_compute();
    fill();
    all_.barrier();
    const auto begin = Clock::now();
    if (phase == blocking) {
      own_.all_reduce_async(data_, sum, {.label = "blocking"}).wait();
    } else if (phase == unattended) {
      Work work = own_.all_reduce_async(data_, sum, {.label = "unattended"});
      std::this_thread::sleep_for(std::chrono::duration<double>(patience_));
      work.wait();
    } else {
      overlap(phase);
    }
    const double seconds = seconds_since(begin);
    check();
    return seconds;
  }

  double time_compute() {
    all_.barrier();
    const auto begin = Clock::now();
    work_.run(passes_);
    return seconds_since(begin);
  }

  void overlap(Phase phase) {
    Work work = own_.all_reduce_async(data_, sum, {.label = phase == sliced ? "sliced" : "silent"});
    for (std::size_t slice = 0; slice < options_.slices; ++slice) {
      work_.run((slice + 1) * passes_ / options_.slices - slice * passes_ / options_.slices);
      if (phase == sliced) own_.progress();
    }
    computed_[phase].push_back(nanoseconds(Clock::now()));
    work.wait();
  }

  double slowest(double seconds) {
    std::array<double, 1> all{seconds};
    all_.all_reduce(std::span<double>(all), maximum);
    return all[0];
  }

  double first_guess() {
    constexpr std::size_t tries = 9;
    std::vector<double> times;
    for (std::size_t i = 0; i < tries; ++i) times.push_back(slowest(measure(blocking)));
    patience_ = 4 * *std::max_element(times.begin(), times.end()) + 2e-3;
    return median(times);
  }

  /// The computation takes `ratio` times `communication`; the same passes on all ranks.
  void choose_passes(double communication) {
    constexpr std::size_t tries = 9;
    // The ranks compute at the same time, for they may share a core; the fastest try counts, so that what else the machine
    // does makes the computation longer than wanted, never shorter.
    double per_pass = 1.0;
    passes_ = 1000;
    for (std::size_t i = 0; i < tries; ++i) {
      per_pass = std::min(per_pass, slowest(time_compute()) / static_cast<double>(passes_));
      passes_ = std::max(options_.slices, static_cast<std::size_t>(options_.ratio * communication / per_pass));
    }
  }

  /// How long the progress thread took, alone, in the last rounds.
  std::vector<double> unattended_times() const {
    std::vector<double> times;
    for (const RecordedTimes& each : recorded("unattended"))
      times.push_back(1e-9 * static_cast<double>(each.ended_ns - each.started_ns));
    return times;
  }

  std::vector<RecordedTimes> recorded(const char* label) const {
    auto times = recorded_times(own_, label);
    times.erase(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(skipped_));
    return times;
  }

  /// Rounds of all ranks in which the operation had ended when the computation had.
  std::int64_t ended_before_wait(Phase phase) {
    const auto times = recorded(phase == sliced ? "sliced" : "silent");
    std::array<std::int64_t, 1> count{0};
    for (std::size_t i = 0; i < times.size(); ++i) count[0] += times[i].ended_ns <= computed_[phase][i];
    all_.all_reduce(std::span<std::int64_t>(count), sum);
    return count[0];
  }

  void report(const Times& times) {
    const double alone = median(times[compute]);
    const double by_caller = median(times[blocking]);
    const double by_thread = progress_thread_ ? median(times[unattended]) : by_caller;
    const double communication = std::min(by_caller, by_thread);  // the better way is what overlap is measured against
    for (const Phase phase : {sliced, silent}) {
      const double both = median(times[phase]);
      const double hidden = (alone + communication - both) / std::min(alone, communication);
      const auto ended = static_cast<long long>(ended_before_wait(phase));
      if (all_.rank() != 0) continue;
      char thread[32] = "-";
      if (progress_thread_) std::snprintf(thread, sizeof thread, "%.1f", 1e6 * by_thread);
      std::printf("%10zu  %-7s %12.1f %12.1f %12s %12.1f %7.2f  %lld/%zu\n", data_.size_bytes(),
                  phase == sliced ? "sliced" : "silent", 1e6 * alone, 1e6 * by_caller, thread, 1e6 * both, hidden,
                  ended, options_.rounds * static_cast<std::size_t>(all_.size()));
      std::fflush(stdout);
    }
  }

  Communicator all_;
  Communicator own_;
  const OverlapOptions& options_;
  bool progress_thread_;
  ArenaBuffer buffer_;
  std::span<float> data_;
  PrivateWork work_;
  std::size_t passes_ = 0;
  std::size_t skipped_ = 0;  ///< trial rounds
  double patience_ = 0.0;    ///< how long an unattended all_reduce is left alone, in seconds
  std::array<std::vector<std::int64_t>, phases> computed_;  ///< when the computation ended, of each round
};

void measure_all(World& world, const OverlapOptions& options) {
  const std::string transport = world.size() > 1 ? world.transport(world.rank() == 0 ? 1 : 0) : "self";
  const bool progress_thread = options.progress == "on" || (options.progress == "auto" && transport == "tcp");
  if (world.rank() == 0) {
    std::printf(
        "# all_reduce of f32 in arena memory, %d ranks over %s, cores %s, progress thread %s, %zu slices, computation "
        "%.2f times the communication, %zu rounds, medians in us\n",
        world.size(), transport.c_str(), options.cores.c_str(), progress_thread ? "yes" : "no", options.slices,
        options.ratio, options.rounds);
    std::printf("#    bytes  way          compute   all_reduce   unattended   overlapped  hidden  ended before wait\n");
  }
  for (std::size_t bytes = options.min_bytes; bytes <= options.max_bytes; bytes *= options.factor)
    SizeBench(world, options, progress_thread, bytes).run();
}

int run(const OverlapOptions& options) {
  Options opening;
  if (options.progress != "auto") opening.progress_thread = options.progress == "on";
  auto world = World::open(opening);
  if (world.size() < 2) fail(ErrorCode::invalid_argument, "one rank has nobody to communicate with: trireme run -n 2");
  place_threads(options.cores, world.rank());
  measure_all(world, options);
  return 0;
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) try {
  const auto options = trireme::bench::parse_overlap_options(argc, argv);
  return options ? trireme::bench::run(*options) : 0;
} catch (const trireme::Exception& exception) {
  std::fprintf(stderr, "overlap_bench: %s\n", exception.error().message.c_str());
  return exception.error().code == trireme::ErrorCode::invalid_argument ? 2 : 1;
} catch (const std::exception& exception) {
  std::fprintf(stderr, "overlap_bench: %s\n", exception.what());
  return 1;
}
