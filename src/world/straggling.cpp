// SPDX-License-Identifier: Apache-2.0
#include "trireme/world/straggling.hpp"

#include "trireme/base/error.hpp"
#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>
#include <thread>
#include <vector>

namespace trireme::testing {
namespace {

std::vector<std::string_view> parts_of(std::string_view text) {
  std::vector<std::string_view> parts;
  for (std::size_t colon = text.find(':'); colon != std::string_view::npos; colon = text.find(':')) {
    parts.push_back(text.substr(0, colon));
    text.remove_prefix(colon + 1);
  }
  parts.push_back(text);
  return parts;
}

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool happens(double share, std::uint64_t word) {
  return static_cast<double>(word >> 11) < share * static_cast<double>(std::uint64_t{1} << 53);
}

}  // namespace

StragglingOptions parse_stragglers(std::string_view text, StragglingOptions options) {
  const auto refuse = [&]() -> StragglingOptions {
    fail(ErrorCode::invalid_argument,
         "stragglers are 'none', 'one:SHARE', 'each:SHARE' or 'worker:W', with ':FACTOR' "
         "behind them or not, not '" +
             std::string(text) + "'");
  };
  const auto parts = parts_of(text);
  if (parts.size() > 3) return refuse();
  const std::string_view who = parts.front();
  options.who = who == "none"     ? Stragglers::none
                : who == "one"    ? Stragglers::one
                : who == "each"   ? Stragglers::each
                : who == "worker" ? Stragglers::worker
                                  : static_cast<Stragglers>(255);
  if (options.who == Stragglers::none) return parts.size() == 1 ? options : refuse();
  if (static_cast<int>(options.who) == 255 || parts.size() < 2) return refuse();
  if (options.who == Stragglers::worker) {
    const auto worker = number_in<std::uint32_t>(parts[1]);
    if (!worker) return refuse();
    options.worker = *worker;
  } else {
    const auto share = number_in<double>(parts[1]);
    if (!share || !(*share >= 0 && *share <= 1)) return refuse();
    options.share = *share;
  }
  if (parts.size() == 3) {
    const auto factor = number_in<double>(parts[2]);
    if (!factor || !std::isfinite(*factor) || *factor < 1) return refuse();
    options.factor = *factor;
  }
  return options;
}

std::string to_string(const StragglingOptions& options) {
  if (options.who == Stragglers::none) return "none";
  char text[64];
  if (options.who == Stragglers::worker)
    std::snprintf(text, sizeof text, "worker:%u:%g", options.worker, options.factor);
  else
    std::snprintf(text, sizeof text, "%s:%g:%g", options.who == Stragglers::one ? "one" : "each", options.share,
                  options.factor);
  return text;
}

Straggling::Straggling(const StragglingOptions& options, std::uint32_t workers) : options_(options), workers_(workers) {
  const auto refuse = [](const std::string& what) { fail(ErrorCode::invalid_argument, "stragglers: " + what); };
  if (workers == 0) refuse("there are no workers");
  if (!(options.share >= 0 && options.share <= 1)) refuse("the share of slow steps is not between 0 and 1");
  if (!std::isfinite(options.factor) || options.factor < 1) refuse("a slow step takes less than another one");
  if (options.computation.count() < 0) refuse("computation takes less than no time");
  if (options.who == Stragglers::worker && options.worker >= workers)
    refuse("there is no worker " + std::to_string(options.worker) + " among " + std::to_string(workers));
}

bool Straggling::is_slow(std::uint32_t worker, std::uint64_t step) const {
  switch (options_.who) {
    case Stragglers::none: return false;
    case Stragglers::worker: return worker == options_.worker;
    case Stragglers::each:
      return happens(options_.share, data::philox_at(data::stream_key(options_.seed, worker), step));
    case Stragglers::one: {
      const auto [chance, whom] = data::philox_pair(options_.seed, step);
      return happens(options_.share, chance) && whom % workers_ == worker;
    }
  }
  return false;
}

std::chrono::microseconds Straggling::computation(std::uint32_t worker, std::uint64_t step) const {
  if (!is_slow(worker, step)) return options_.computation;
  return std::chrono::microseconds(std::llround(static_cast<double>(options_.computation.count()) * options_.factor));
}

void Straggling::compute(std::uint32_t worker, std::uint64_t step) const {
  const auto time = computation(worker, step);
  if (time.count() > 0) std::this_thread::sleep_for(time);
}

}  // namespace trireme::testing
