// SPDX-License-Identifier: Apache-2.0
// How near do real pipelines come to the simulated ones? Each schedule, size and set of costs runs once without sleeps,
// while every message is compared, and then timed: from the first rank's leaving a barrier to the last rank's end. Beside
// it stands the simulated makespan, in which messages take no time.
#include "bench/pipeline/options.hpp"
#include "bench/pipeline/sleeping_stage.hpp"
#include "trireme/base/error.hpp"
#include "trireme/pipeline/generate.hpp"
#include "trireme/pipeline/runtime.hpp"
#include "trireme/pipeline/simulate.hpp"
#include "trireme/world/run_ranks.hpp"
#include "trireme/world/world.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <sys/prctl.h>

namespace trireme::bench {
namespace {

using Clock = std::chrono::steady_clock;
using pipeline::Rational;

struct NamedSchedule {
  const char* name;
  int chunks;
};
constexpr std::array schedules{NamedSchedule{"gpipe", 1},       NamedSchedule{"1f1b", 1},
                               NamedSchedule{"interleaved", 2}, NamedSchedule{"interleaved", 4},
                               NamedSchedule{"zb-h1", 1},       NamedSchedule{"zb-v", 2}};

/// Of a rank's stages together, in units: equal; F, B and W unlike; or a model whose first and last stages do more.
struct NamedCosts {
  const char* name;
  pipeline::StageCost cost;
  Rational ends;  ///< factor of the first and the last stage
};
const std::array all_costs{NamedCosts{"1 1 1", {1, 1, 1}, 1},
                           NamedCosts{"1 5/4 3/4", {1, Rational(5, 4), Rational(3, 4)}, 1},
                           NamedCosts{"ends 3/2", {1, 1, 1}, Rational(3, 2)}};

struct Row {
  NamedSchedule schedule;
  const char* costs;
  int micro_batches;
  pipeline::Simulation simulation;
  double unit_ms;
  std::vector<double> measured_ms{};

  double simulated_ms() const { return simulation.makespan.approximately() * unit_ms; }
  double median_ms() const {
    std::vector<double> sorted = measured_ms;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
  double ratio() const { return median_ms() / simulated_ms(); }
  double bubble_percent() const { return 100 * (simulation.bubble() / simulation.makespan).approximately(); }
  double peak_micro_batches() const {
    int most = 0;
    for (const auto& rank : simulation.ranks) most = std::max(most, rank.peak_live);
    return static_cast<double>(most) / schedule.chunks;
  }
  std::size_t messages() const {
    std::size_t sum = 0;
    for (const auto& rank : simulation.ranks) sum += rank.messages_sent;
    return sum;
  }
};

class PipelineBench {
 public:
  PipelineBench(World& world, const PipelineOptions& options)
      : all_(world.communicator()), options_(options), rows_(nlohmann::json::array()) {}

  /// Whether every median was within 5 %.
  bool run() {
    // Sleeps of some milliseconds otherwise end 50 us late.
    if (prctl(PR_SET_TIMERSLACK, 1000) != 0) fail(ErrorCode::system, "prctl(PR_SET_TIMERSLACK)");
    if (first())
      std::printf("%-12s %2s %-10s %3s %12s %12s %7s %9s %6s %9s\n", "schedule", "v", "F B W", "m", "simulated_ms",
                  "measured_ms", "ratio", "bubble_%", "peak", "messages");
    for (const NamedCosts& costs : all_costs) {
      for (const NamedSchedule& schedule : schedules) {
        for (const int micro_batches : options_.micro_batches) measure(schedule, costs, micro_batches);
      }
    }
    if (first() && !options_.json.empty()) write_json();
    return good_;
  }

 private:
  bool first() const { return all_.rank() == 0; }

  void measure(const NamedSchedule& named, const NamedCosts& costs, int micro_batches) {
    const pipeline::Schedule schedule = pipeline::make_schedule(named.name, {all_.size(), micro_batches, named.chunks});
    std::vector<pipeline::StageCost> stage_costs;
    for (int stage = 0; stage < schedule.stages; ++stage) {
      const Rational factor = (stage == 0 || stage + 1 == schedule.stages ? costs.ends : Rational(1)) / named.chunks;
      stage_costs.push_back({costs.cost.forward * factor, costs.cost.input * factor, costs.cost.weight * factor});
    }
    Row row{named, costs.name, micro_batches, pipeline::simulate(schedule, {.stages = stage_costs}), options_.unit_ms};
    const std::vector<int> numbers = pipeline::check(schedule).stages_of(all_.rank());
    std::vector<std::unique_ptr<SleepingStage>> stages;
    std::vector<pipeline::Stage*> pointers;
    for (const int number : numbers) {
      stages.push_back(std::make_unique<SleepingStage>(all_, number));
      pointers.push_back(stages.back().get());
    }
    const pipeline::Boundary boundary{options_.message_bytes / sizeof(float), DType::f32};
    pipeline::Runtime runtime(
        all_, schedule, pointers,
        {.boundaries = std::vector<pipeline::Boundary>(static_cast<std::size_t>(schedule.stages - 1), boundary)});
    runtime.run();  // without sleeps: verified, and everything is touched
    for (std::size_t i = 0; i < stages.size(); ++i)
      stages[i]->set_times(times_of(stage_costs[static_cast<std::size_t>(numbers[i])]));
    for (std::size_t round = 0; round < options_.rounds; ++round) row.measured_ms.push_back(time(runtime));
    good_ = good_ && row.ratio() < 1.05 && row.ratio() > 0.95;
    if (first()) report(row);
  }

  SleepTimes times_of(const pipeline::StageCost& cost) const {
    const auto time = [&](Rational units) {
      return std::chrono::nanoseconds(static_cast<std::int64_t>(units.approximately() * options_.unit_ms * 1e6));
    };
    return {time(cost.forward), time(cost.input), time(cost.weight)};
  }

  /// The step's milliseconds: the ranks of one host share the steady clock.
  double time(pipeline::Runtime& runtime) {
    const auto milliseconds = [](Clock::time_point moment) {
      return std::chrono::duration<double, std::milli>(moment.time_since_epoch()).count();
    };
    all_.barrier();
    const double begin = milliseconds(Clock::now());
    runtime.run();
    const double end = milliseconds(Clock::now());
    std::array<double, 2> edges{-begin, end};
    all_.all_reduce(std::span<double>(edges), maximum);
    return edges[1] + edges[0];
  }

  void report(const Row& row) {
    std::printf("%-12s %2d %-10s %3d %12.1f %12.1f %7.3f %9.1f %6.1f %9zu\n", row.schedule.name, row.schedule.chunks,
                row.costs, row.micro_batches, row.simulated_ms(), row.median_ms(), row.ratio(), row.bubble_percent(),
                row.peak_micro_batches(), row.messages());
    std::fflush(stdout);
    rows_.push_back({{"schedule", row.schedule.name},
                     {"chunks", row.schedule.chunks},
                     {"costs", row.costs},
                     {"micro_batches", row.micro_batches},
                     {"simulated_ms", row.simulated_ms()},
                     {"measured_ms", row.measured_ms},
                     {"ratio", row.ratio()},
                     {"bubble_percent", row.bubble_percent()},
                     {"bubble_units", to_string(row.simulation.bubble())},
                     {"peak_micro_batches", row.peak_micro_batches()},
                     {"messages", row.messages()}});
  }

  void write_json() const {
    const nlohmann::json whole{{"environment",
                                {{"ranks", all_.size()},
                                 {"ranks_are", options_.threads > 0 ? "threads" : "processes"},
                                 {"processors", std::thread::hardware_concurrency()},
                                 {"unit_ms", options_.unit_ms},
                                 {"message_bytes", options_.message_bytes},
                                 {"rounds", options_.rounds}}},
                               {"rows", rows_}};
    std::ofstream file(options_.json);
    if (!(file << whole.dump(1) << "\n").flush()) fail(ErrorCode::system, "writing " + options_.json);
  }

  Communicator all_;
  const PipelineOptions& options_;
  nlohmann::json rows_;
  bool good_ = true;
};

int run(const PipelineOptions& options) {
  bool good = false;
  const auto body = [&](World& world) {
    const bool mine = PipelineBench(world, options).run();
    if (world.rank() == 0) good = mine;
  };
  if (options.threads > 0) {
    testing::run_ranks(options.threads, body, {.transport = "shm"});
  } else {
    World world = World::open();
    body(world);
    if (world.rank() != 0) good = true;  // told by rank 0
  }
  return options.check && !good ? 3 : 0;
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) try {
  const auto options = trireme::bench::parse_pipeline_options(argc, argv);
  return options ? trireme::bench::run(*options) : 0;
} catch (const trireme::Exception& exception) {
  std::fprintf(stderr, "pipeline_bench: %s\n", exception.error().message.c_str());
  return exception.error().code == trireme::ErrorCode::invalid_argument ? 2 : 1;
} catch (const std::exception& exception) {
  std::fprintf(stderr, "pipeline_bench: %s\n", exception.what());
  return 1;
}
