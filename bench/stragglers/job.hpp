// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/stragglers/judge.hpp"
#include "bench/stragglers/options.hpp"
#include "trireme/world/straggling.hpp"

#include <cstdint>
#include <optional>

namespace trireme::bench {

/// What came of one run.
struct JobOutcome {
  std::uint64_t samples = 0;  ///< of steps that were complete in time
  double seconds = 0.0;
  std::uint64_t least_steps = 0, most_steps = 0;  ///< of a worker
  std::uint64_t most_staleness = 0;  ///< steps that a pull missed of another worker; 0 behind sockets: not counted
  Values end{};
  struct Sight {
    double seconds = 0.0;
    Values values{};
  };
  std::optional<Sight> at_samples{};  ///< when StragglersOptions::samples had been done
  double samples_per_s() const { return static_cast<double>(samples) / seconds; }
};

models::MlpOptions model_of(const StragglersOptions& options, const data::LabelledImages& set);

/// Trains, workers as threads, until the time is over or the samples are done. Values are those that the worker has which ends last.
JobOutcome run_job(const StragglersOptions& options, const Way& way, const testing::Straggling& straggling,
                   const data::LabelledImages& set, const data::Normalisation& normalisation);

}  // namespace trireme::bench
