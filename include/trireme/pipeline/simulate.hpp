// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/pipeline/rational.hpp"
#include "trireme/pipeline/schedule.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::pipeline {

/// Times of one micro-batch at one stage, in any unit. The whole backward takes input + weight.
struct StageCost {
  Rational forward = 1;
  Rational input = 1;
  Rational weight = 1;
};

struct Costs {
  std::vector<StageCost> stages{StageCost{}};  ///< by stage; one: of every stage
  Rational message =
      0;  ///< from when both the data and the receive are there until the data are; none waits for another
};

/// What a rank does of a step's time.
struct RankTimes {
  Rational work;    ///< sum of its actions
  Rational bubble;  ///< makespan - work
  Rational inside;  ///< idle between its first and its last action
  int peak_live = 0;
  std::size_t messages_sent = 0;
};

/// When an action begins and ends, in ticks of 1 / Simulation::ticks_per_unit.
struct ActionSpan {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

struct Simulation {
  Rational makespan;
  std::vector<RankTimes> ranks;
  std::int64_t ticks_per_unit = 1;
  std::vector<std::vector<ActionSpan>> spans;  ///< as Schedule::ranks

  /// The greatest bubble of a rank.
  Rational bubble() const;
};

/// When everything happens if every action takes its time and begins as soon as it can, under what check() says blocks.
/// Exact: whole numbers of the costs' common denominator.
/// Errors: as check(); invalid_argument when costs do not fit the schedule, are negative, or their sum exceeds 62 bits.
Simulation simulate(const Schedule& schedule, const Costs& costs);

/// A picture, one line per rank, `columns` characters of time: each action as its letter and micro-batch, lower-case at a
/// rank's second, fourth, … stage, '-' while it lasts, '.' where the rank is idle.
std::string draw(const Schedule& schedule, const Simulation& simulation, int columns = 100);

}  // namespace trireme::pipeline
