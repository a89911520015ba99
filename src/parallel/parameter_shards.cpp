// SPDX-License-Identifier: Apache-2.0
#include "parallel/parameter_shards.hpp"

#include "trireme/base/dtype.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstring>

namespace trireme::parallel {
namespace {

constexpr std::size_t line = 64;
constexpr std::size_t round_up(std::size_t bytes) { return (bytes + line - 1) / line * line; }
TensorView bytes_at(std::byte* data, std::size_t count) { return {data, count, DType::u8}; }

}  // namespace

ParameterShards::ParameterShards(ParameterShardsSetup setup)
    : group_(setup.group),
      parameters_(setup.parameters),
      deadline_(setup.deadline),
      places_(parameters_.size()),
      units_(setup.units),
      unit_of_(setup.unit_of) {
  place(setup);
  fill(setup);
}

ParameterShards::~ParameterShards() {
  for (Gather& gather : gathers_) gather.work = {};  // it writes into the memory of a unit until then
}

/// As the buckets of gradients, with values of their own width: an edge between two ranks that lies at a block of a gradient
/// lies at the same element of the value.
void ParameterShards::place(const ParameterShardsSetup& setup) {
  const auto ranks = static_cast<std::size_t>(group_.size()), own = static_cast<std::size_t>(group_.rank());
  gathers_.resize(setup.plan->buckets.size());
  for (std::size_t b = 0; b < gathers_.size(); ++b) {
    Gather& gather = gathers_[b];
    const auto& in = setup.plan->buckets[b].parameters;
    gather.unit = unit_of_[in.front()];
    gather.label = "values of " + parameters_[in.front()].name + (in.size() > 1 ? ".." : "");
    std::vector<std::size_t> edges(ranks, none);
    for (const std::size_t p : in) {
      const TensorView& value = parameters_[p].value;
      places_[p] = {b, gather.size, setup.shards->owned(p, group_.rank())};
      for (std::size_t r = 0; r < ranks; ++r) {
        const layout::Interval owned = setup.shards->owned(p, static_cast<int>(r));
        if (owned.size() != 0 && edges[r] == none) edges[r] = gather.size + owned.begin * size_of(value.dtype);
      }
      gather.size += round_up(value.size_bytes());
    }
    std::size_t end = gather.size;
    gather.counts.assign(ranks, 0);
    for (std::size_t r = ranks; r-- > 0;) {
      if (edges[r] == none) continue;  // nothing is this rank's
      // Edges ascend; what lies before the first owned element is padding behind a parameter of the rank before.
      gather.counts[r] = end - edges[r];
      if (r == own) gather.own_begin = edges[r];
      end = edges[r];
    }
    Unit& unit = units_[gather.unit];
    unit.gathers.push_back(b);
    gather.begin = unit.size;
    unit.size += gather.size;
    gather.part = group_.memory().allocate(Bytes{gather.counts[own]});
    part_bytes_.value += gather.counts[own];
  }
}

void ParameterShards::fill(const ParameterShardsSetup& setup) {
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const TensorView to = part(p), &value = parameters_[p].value;
    const layout::Interval owned = places_[p].owned;
    if (value.data == nullptr && value.count != 0 && !setup.initial) {
      fail(ErrorCode::invalid_argument,
           "'" + parameters_[p].name + "' has no values: give them memory, or set DataParallelOptions::initial");
    }
    if (owned.size() == 0) continue;
    if (value.data == nullptr) {
      setup.initial(p, owned.begin, to);
    } else {
      std::memcpy(to.data, static_cast<const std::byte*>(value.data) + owned.begin * size_of(value.dtype),
                  to.size_bytes());
    }
  }
}

TensorView ParameterShards::part(std::size_t parameter) {
  const Place& place = places_[parameter];
  const DType dtype = parameters_[parameter].value.dtype;
  if (place.owned.size() == 0) return {nullptr, 0, dtype};
  const Gather& gather = gathers_[place.bucket];
  const std::size_t begin = place.begin + place.owned.begin * size_of(dtype) - gather.own_begin;
  return {gather.part.bytes().data() + begin, place.owned.size(), dtype};
}

ParameterShards::Unit& ParameterShards::checked(const char* call, std::size_t unit) {
  if (unit < units_.size()) return units_[unit];
  fail(ErrorCode::invalid_argument,
       std::string(call) + ": there is no unit " + std::to_string(unit) + " among " + std::to_string(units_.size()));
}

ArenaBuffer ParameterShards::take_memory(std::size_t bytes) {
  auto best = spare_.end();
  for (auto it = spare_.begin(); it != spare_.end(); ++it) {
    const std::size_t size = it->bytes().size();
    if (size >= bytes && (best == spare_.end() || size < best->bytes().size())) best = it;
  }
  if (best == spare_.end()) {
    spare_.clear();  // too small for this: their memory is wanted
    return group_.memory().allocate(Bytes{bytes});
  }
  ArenaBuffer memory = std::move(*best);
  spare_.erase(best);
  return memory;
}

void ParameterShards::start(Unit& unit) {
  unit.memory = take_memory(unit.size);
  most_whole_bytes_ = std::max(most_whole_bytes_, whole_bytes());
  for (const std::size_t g : unit.gathers) {
    Gather& gather = gathers_[g];
    std::byte* const whole = unit.memory.bytes().data() + gather.begin;
    const std::span<std::byte> own = gather.part.bytes();
    gather.work = group_.all_gather_async(bytes_at(own.data(), own.size()), bytes_at(whole, gather.size), gather.counts,
                                          {.deadline = deadline_, .label = gather.label});
  }
  unit.state = State::coming;
}

void ParameterShards::finish(Unit& unit) {
  for (const std::size_t g : unit.gathers) gathers_[g].work.wait();
  unit.state = State::here;
}

void ParameterShards::drop(Unit& unit) {
  if (unit.state == State::coming) finish(unit);
  spare_.push_back(std::move(unit.memory));
  unit.memory = {};
  unit.state = State::away;
}

void ParameterShards::drop_what_nobody_holds(std::size_t but) {
  for (std::size_t u = 0; u < units_.size(); ++u)
    if (u != but && units_[u].holds == 0 && units_[u].state != State::away) drop(units_[u]);
}

void ParameterShards::acquire(std::size_t unit) {
  Unit& wanted = checked("acquire()", unit);
  wanted.was_acquired = true;
  if (wanted.holds++ != 0 || alone()) return;
  if (now_ != Moment{none, none}) followed_by_[now_] = unit;
  now_ = {now_.second, unit};
  drop_what_nobody_holds(unit);  // what was expected in its place
  if (wanted.state == State::away) start(wanted);
  if (wanted.state == State::coming) finish(wanted);
  expect_next();
}

void ParameterShards::expect_next() {
  const auto found = followed_by_.find(now_);
  expected_ = found == followed_by_.end() ? none : found->second;
  if (expected_ != none && units_[expected_].state == State::away) start(units_[expected_]);
}

void ParameterShards::release(std::size_t unit) {
  Unit& given = checked("release()", unit);
  if (given.holds == 0) fail(ErrorCode::invalid_argument, "release(): unit " + std::to_string(unit) + " is not held");
  if (--given.holds == 0 && !alone() && expected_ != unit) drop(given);
}

std::size_t ParameterShards::unit_of(std::size_t parameter) const {
  check_parameter("unit_of()", parameter);
  return unit_of_[parameter];
}

void ParameterShards::check_parameter(const char* call, std::size_t parameter) const {
  if (parameter < parameters_.size()) return;
  fail(ErrorCode::invalid_argument, std::string(call) + ": there is no parameter " + std::to_string(parameter) +
                                        " among " + std::to_string(parameters_.size()));
}

TensorView ParameterShards::value(std::size_t parameter) {
  check_parameter("value()", parameter);
  const Unit& unit = units_[unit_of_[parameter]];
  if (unit.holds == 0) {
    fail(ErrorCode::invalid_argument, "value(): '" + parameters_[parameter].name + "' is in unit " +
                                          std::to_string(unit_of_[parameter]) + ", which is not held: acquire() it");
  }
  if (alone()) return part(parameter);
  const Place& place = places_[parameter];
  const TensorView& value = parameters_[parameter].value;
  return {unit.memory.bytes().data() + gathers_[place.bucket].begin + place.begin, value.count, value.dtype};
}

void ParameterShards::before_update() {
  for (std::size_t u = 0; u < units_.size(); ++u) {
    if (units_[u].holds == 0) continue;
    fail(ErrorCode::invalid_argument,
         "parameters are updated while unit " + std::to_string(u) + " is held: release() it");
  }
  drop_what_nobody_holds(none);
}

void ParameterShards::after_update() {
  before_update();
  if (now_ != Moment{none, none}) followed_by_[now_] = none;  // a step ends there: nothing to gather ahead
  now_ = {none, none};
  expected_ = none;
}

Bytes ParameterShards::whole_bytes() const {
  Bytes all{};
  for (const Unit& unit : units_) all.value += unit.memory.bytes().size();
  for (const ArenaBuffer& buffer : spare_) all.value += buffer.bytes().size();
  return all;
}

}  // namespace trireme::parallel
