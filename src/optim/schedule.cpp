// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/schedule.hpp"

#include "kernels/float_environment.hpp"
#include "kernels/scalar/scalar.hpp"
#include "optim/setting_check.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace trireme {
namespace {

constexpr std::array<std::string_view, schedule_kind_count> names{"constant", "linear",       "cosine",   "polynomial",
                                                                  "step",     "inverse_sqrt", "one_cycle"};

bool has_end(ScheduleKind kind) {
  return kind == ScheduleKind::linear || kind == ScheduleKind::cosine || kind == ScheduleKind::polynomial ||
         kind == ScheduleKind::one_cycle;
}

/// From `from` at x = 0 to `to` at x = 1 along half a cosine.
double along_cosine(double from, double to, double x) {
  return to + (from - to) * (1.0 + kernels::cosine_of_half_turns(x)) * 0.5;
}

/// base^exponent for base in [0, 1].
double fraction_power(double base, double exponent) {
  if (base <= 0.0) return 0.0;
  return kernels::negative_power(1.0 / base, -exponent);
}

}  // namespace

std::string_view name_of(ScheduleKind kind) { return names[static_cast<std::size_t>(kind)]; }

void Schedule::check() const {
  const std::string text = "schedule " + std::string(name_of(kind));
  const char* where = text.c_str();
  optim::check_setting(where, "final_factor", final_factor, 0.0);
  optim::check_setting(where, "initial_factor", initial_factor, 0.0);
  optim::check_setting(where, "decay", decay, 0.0);
  optim::check_setting(where, "rise", rise, 0.0, 1.0);
  optim::check_setting(where, "power", power, 0.0);
  if (kind == ScheduleKind::polynomial && power == 0.0)
    fail(ErrorCode::invalid_argument, text + ": power must be above 0");
  if (kind == ScheduleKind::step && interval == 0)
    fail(ErrorCode::invalid_argument, text + ": interval must be above 0");
  if (kind == ScheduleKind::one_cycle && warmup_steps != 0)
    fail(ErrorCode::invalid_argument, text + " begins with a rise of its own: give no warm-up");
  if (has_end(kind) && total_steps <= warmup_steps) {
    fail(ErrorCode::invalid_argument, text + ": total_steps is " + std::to_string(total_steps) +
                                          "; it must be above the " + std::to_string(warmup_steps) +
                                          " steps of the warm-up");
  }
}

double Schedule::factor(std::uint64_t step) const {
  const kernels::FloatEnvironment environment;
  const auto t = static_cast<double>(std::max<std::uint64_t>(step, 1));
  const auto warmup = static_cast<double>(warmup_steps), total = static_cast<double>(total_steps);
  if (step < warmup_steps) return t / warmup;
  // Without a warm-up the first step has x = 0, with one its last step has.
  const double begin = warmup_steps == 0 ? 1.0 : warmup;
  const double x = total > begin ? std::min((t - begin) / (total - begin), 1.0) : 1.0;
  switch (kind) {
    case ScheduleKind::constant: return 1.0;
    case ScheduleKind::linear: return 1.0 - (1.0 - final_factor) * x;
    case ScheduleKind::cosine: return along_cosine(1.0, final_factor, x);
    case ScheduleKind::polynomial: return final_factor + (1.0 - final_factor) * fraction_power(1.0 - x, power);
    case ScheduleKind::step: return kernels::power(decay, static_cast<std::uint64_t>(t - begin) / interval);
    case ScheduleKind::inverse_sqrt: return std::sqrt(begin / t);
    case ScheduleKind::one_cycle:
      return x < rise ? along_cosine(initial_factor, 1.0, x / rise)
                      : along_cosine(1.0, final_factor, (x - rise) / (1.0 - rise));
  }
  return 1.0;
}

double scaled_learning_rate(double learning_rate, BatchScaling scaling, std::size_t batch, std::size_t base_batch) {
  if (base_batch == 0)
    fail(ErrorCode::invalid_argument, "the batch that a learning rate was found for must be above 0");
  const double ratio = static_cast<double>(batch) / static_cast<double>(base_batch);
  switch (scaling) {
    case BatchScaling::none: break;
    case BatchScaling::linear: return learning_rate * ratio;
    case BatchScaling::square_root: return learning_rate * std::sqrt(ratio);
  }
  return learning_rate;
}

}  // namespace trireme
