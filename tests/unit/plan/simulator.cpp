// SPDX-License-Identifier: Apache-2.0
#include "unit/plan/simulator.hpp"

#include <algorithm>
#include <queue>
#include <random>
#include <tuple>
#include <unordered_set>
#include <utility>

namespace trireme::plan::proof {

Simulator::Simulator(const Ensemble& ensemble, Expressions& expressions, const Conditions& conditions)
    : phases_(ensemble.nodes.size(), Phase::waiting) {
  auto setup = std::make_shared<Setup>();
  setup->ensemble = &ensemble;
  setup->expressions = &expressions;
  setup->moves_nothing = ensemble.shape.collective == Collective::barrier;
  setup->in_place = conditions.in_place && ensemble.shape.collective != Collective::all_to_all;  // never in place
  if (conditions.delivery != Delivery::rendezvous) carried_.resize(ensemble.nodes.size());
  if (conditions.ordered_edges) setup->next_on_edge.assign(ensemble.nodes.size(), -1);
  std::mt19937 random(conditions.seed);
  for (int node = 0; node < static_cast<int>(ensemble.nodes.size()); ++node) {
    const auto& info = ensemble.nodes[static_cast<std::size_t>(node)];
    missing_.push_back(static_cast<int>(info.step->depends_on.size()));
    if (conditions.ordered_edges && info.before_on_edge >= 0) {
      ++missing_.back();
      setup->next_on_edge[static_cast<std::size_t>(info.before_on_edge)] = node;
    }
    setup->eager.push_back(conditions.delivery == Delivery::eager ||
                           (conditions.delivery == Delivery::mixed && (random() & 1u) != 0));
    if (missing_.back() == 0) possible_.push_back({false, node});
  }
  for (const Plan& plan : ensemble.plans) {
    const auto blocks = static_cast<std::size_t>(plan.blocks);
    Memory memory;
    memory.input = cells_.size();
    memory.output = setup->in_place ? memory.input : memory.input + blocks;
    cells_.resize(memory.output + blocks, nothing);
    for (const ScratchSlot& slot : plan.mine.scratch) {
      memory.slots.push_back(cells_.size());
      cells_.resize(cells_.size() + static_cast<std::size_t>(slot.blocks.count), nothing);
    }
    setup->memory.push_back(std::move(memory));
  }
  setup_ = std::move(setup);
  if (setup_->moves_nothing) return;
  const bool broadcast = ensemble.shape.collective == Collective::broadcast;
  for (int rank = 0; rank < ensemble.shape.ranks; ++rank) {
    if (broadcast && rank != ensemble.shape.root) continue;
    const BlockRange given = ensemble.plans[static_cast<std::size_t>(rank)].mine.input_blocks;
    const Operand place = broadcast ? Operand{Space::output, 0, Role::output} : Operand{};
    for (int b = given.first; b < given.first + given.count; ++b) {
      cells_[cell(rank, place, b)] = expressions.contribution(rank, b);
    }
  }
}

std::size_t Simulator::cell(int rank, Operand operand, int block) const {
  const Memory& memory = setup_->memory[static_cast<std::size_t>(rank)];
  switch (operand.space) {
    case Space::input: return memory.input + static_cast<std::size_t>(block);
    case Space::output: return memory.output + static_cast<std::size_t>(block);
    case Space::scratch: break;
  }
  const auto slot = static_cast<std::size_t>(operand.slot);
  const auto& scratch = setup_->ensemble->plans[static_cast<std::size_t>(rank)].mine.scratch;
  return memory.slots.at(slot) + static_cast<std::size_t>(block - scratch[slot].blocks.first);
}

Value Simulator::read(int node, Operand operand, int block) const {
  const Value value = cells_[cell(setup_->ensemble->nodes[static_cast<std::size_t>(node)].rank, operand, block)];
  if (value == nothing) throw Broken(setup_->ensemble->describe(node) + " reads nothing");
  return value;
}

bool Simulator::same_memory(Operand a, Operand b) const {
  if (a.space == Space::scratch || b.space == Space::scratch) return a.space == b.space && a.slot == b.slot;
  return setup_->in_place || a.space == b.space;
}

bool Simulator::reads_destination(const Step& step) const {
  const auto is_destination = [&](Operand source) { return same_memory(source, step.destination); };
  if (step.kind == StepKind::copy) return is_destination(step.source);
  return step.kind == StepKind::load_reduce && std::any_of(step.sources.begin(), step.sources.end(), is_destination);
}

void Simulator::take_possible(std::vector<Event>& events) {
  events.clear();
  events.swap(possible_);
}

void Simulator::fire(Event event) {
  if (event.ends) {
    end(event.node);
  } else {
    begin(event.node);
  }
}

void Simulator::begin(int node) {
  const auto& info = setup_->ensemble->nodes[static_cast<std::size_t>(node)];
  const Step& step = *info.step;
  phase(node) = Phase::begun;
  const bool partner_begun = info.partner >= 0 && phase(info.partner) == Phase::begun;
  if (step.kind == StepKind::send) {
    for (int b = 0; b < step.blocks.count && !setup_->moves_nothing; ++b) {
      const Value value = read(node, step.source, step.blocks.first + b);
      if (eager(node)) carried_[static_cast<std::size_t>(node)].push_back(value);
    }
    if (eager(node)) possible_.push_back({true, node});
    if (partner_begun) possible_.push_back({true, info.partner});
    return;
  }
  for (int b = 0; b < step.blocks.count; ++b) {
    if (!reads_destination(step)) cells_[cell(info.rank, step.destination, step.blocks.first + b)] = nothing;
  }
  const bool sent = info.partner < 0 || phase(info.partner) != Phase::waiting;
  if (sent) possible_.push_back({true, node});
}

void Simulator::end(int node) {
  const auto& info = setup_->ensemble->nodes[static_cast<std::size_t>(node)];
  const Step& step = *info.step;
  phase(node) = Phase::ended;
  ++done_;
  if (step.kind != StepKind::send && !setup_->moves_nothing) {
    for (int b = 0; b < step.blocks.count; ++b) {
      const int block = step.blocks.first + b;
      cells_[cell(info.rank, step.destination, block)] = evaluate(node, block);
    }
  }
  if (step.kind == StepKind::recv && !eager(info.partner)) possible_.push_back({true, info.partner});
  for (int later : info.successors) {
    if (--missing_[static_cast<std::size_t>(later)] == 0) possible_.push_back({false, later});
  }
  if (setup_->next_on_edge.empty()) return;
  if (const int next = setup_->next_on_edge[static_cast<std::size_t>(node)]; next >= 0) {
    if (--missing_[static_cast<std::size_t>(next)] == 0) possible_.push_back({false, next});
  }
}

Value Simulator::evaluate(int node, int block) const {
  const auto& info = setup_->ensemble->nodes[static_cast<std::size_t>(node)];
  const Step& step = *info.step;
  if (step.kind == StepKind::recv) {
    const auto& sender = setup_->ensemble->nodes[static_cast<std::size_t>(info.partner)];
    const int position = block - step.blocks.first;  // the two ends may give the same bytes other numbers
    if (!eager(info.partner)) return read(info.partner, sender.step->source, sender.step->blocks.first + position);
    return carried_[static_cast<std::size_t>(info.partner)][static_cast<std::size_t>(position)];
  }
  if (step.kind == StepKind::copy) {
    const Value value = read(node, step.source, block);
    return step.finalize ? setup_->expressions->finalized(value) : value;
  }
  if (step.kind != StepKind::load_reduce)
    throw Broken(setup_->ensemble->describe(node) + " is of a kind no plan has yet");
  std::vector<Value> stack;
  for (int token : step.program) {
    if (token >= 0) {
      stack.push_back(read(node, step.sources.at(static_cast<std::size_t>(token)), block));
      continue;
    }
    const Value right = stack.back();
    stack.pop_back();
    stack.back() = setup_->expressions->combined(stack.back(), right);
  }
  return step.finalize ? setup_->expressions->finalized(stack.back()) : stack.back();
}

std::string Simulator::unfinished() const {
  std::string text;
  int named = 0;
  for (std::size_t node = 0; node < phases_.size() && named < 4; ++node) {
    if (phases_[node] == Phase::ended) continue;
    text += (named++ == 0 ? "" : "; ") + setup_->ensemble->describe(static_cast<int>(node));
  }
  return text;
}

std::string Simulator::fingerprint() const {
  static_assert(sizeof(Phase) == 1);
  std::string text;
  text.reserve(phases_.size() + (cells_.size() + carried_.size()) * sizeof(Value));
  text.append(reinterpret_cast<const char*>(phases_.data()), phases_.size());
  const auto* cells = reinterpret_cast<const char*>(cells_.data());
  text.append(cells, cells_.size() * sizeof(Value));
  for (const auto& values : carried_) {
    text.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value));
  }
  return text;
}

namespace {

std::string where(int rank, int block) { return "rank " + std::to_string(rank) + " block " + std::to_string(block); }

bool adds(Collective collective) {
  return collective == Collective::all_reduce || collective == Collective::reduce_scatter ||
         collective == Collective::reduce;
}

/// What output blocks must hold where contributions are added, by block; nothing where any order of adding will do.
std::vector<Value> promised(const Ensemble& ensemble, Expressions& expressions) {
  const Shape& shape = ensemble.shape;
  std::vector<Value> values(static_cast<std::size_t>(ensemble.blocks()), nothing);
  if (adds(shape.collective) && ensemble.plans.front().canonical) {
    values = promised_sums(expressions, shape.leaves, shape.ranks, ensemble.blocks());
    for (Value& value : values) value = expressions.finalized(value);
  }
  return values;
}

/// What block `block` of `rank`'s output must hold where contributions are moved only.
Value moved(const Shape& shape, Expressions& expressions, int rank, int block) {
  switch (shape.collective) {
    case Collective::broadcast:
    case Collective::scatter: return expressions.contribution(shape.root, block);
    case Collective::all_to_all: return expressions.contribution(block, rank);
    default: return expressions.contribution(block, block);  // all_gather, gather
  }
}

/// Sums in free order: every rank's contribution once.
void check_each_once(const Expressions& expressions, Value value, int ranks, int rank, int block) {
  std::vector<int> found = expressions.ranks_in(value, block);
  std::sort(found.begin(), found.end());
  bool each_once = static_cast<int>(found.size()) == ranks;
  for (int r = 0; each_once && r < ranks; ++r) each_once = found[static_cast<std::size_t>(r)] == r;
  if (!each_once) throw Broken(where(rank, block) + " has " + expressions.text(value));
}

/// The blocks of the output that the collective promises to `rank`.
BlockRange promised_output(const Ensemble& ensemble, int rank) {
  const Shape& shape = ensemble.shape;
  const BlockRange all{0, ensemble.blocks()};
  switch (shape.collective) {
    case Collective::reduce:
    case Collective::gather: return rank == shape.root ? all : BlockRange{0, 0};
    case Collective::reduce_scatter:
    case Collective::scatter: return {rank, 1};
    default: return all;
  }
}

void check_results(const Ensemble& ensemble, Expressions& expressions, const Simulator& simulator, bool in_place) {
  if (!simulator.all_done()) throw Broken("stuck: " + simulator.unfinished());
  const Collective collective = ensemble.shape.collective;
  if (collective == Collective::barrier) return;
  std::vector<Value> wanted = promised(ensemble, expressions);
  for (int rank = 0; rank < ensemble.shape.ranks; ++rank) {
    const RankPlan& mine = ensemble.plans[static_cast<std::size_t>(rank)].mine;
    if (mine.output_blocks != promised_output(ensemble, rank)) throw Broken(where(rank, 0) + " has another output");
    for (int b = mine.output_blocks.first; b < mine.output_blocks.first + mine.output_blocks.count; ++b) {
      const Value value = simulator.output(rank, b);
      if (!adds(collective)) wanted[static_cast<std::size_t>(b)] = moved(ensemble.shape, expressions, rank, b);
      Value& want = wanted[static_cast<std::size_t>(b)];
      if (want == nothing) {
        check_each_once(expressions, value, ensemble.shape.ranks, rank, b);
        want = value;  // on the other ranks too
      }
      if (value != want) {
        throw Broken(where(rank, b) + " has " + expressions.text(value) + " instead of " + expressions.text(want));
      }
    }
    if (in_place || collective == Collective::broadcast) continue;
    for (int b = mine.input_blocks.first; b < mine.input_blocks.first + mine.input_blocks.count; ++b) {
      if (simulator.input(rank, b) != expressions.contribution(rank, b))
        throw Broken(where(rank, b) + " input changed");
    }
  }
}

}  // namespace

void check_run(const Ensemble& ensemble, Expressions& expressions, const Schedule& schedule) {
  Simulator simulator(ensemble, expressions, schedule.conditions);
  std::mt19937 random(schedule.conditions.seed);
  using Entry = std::tuple<std::int64_t, std::int64_t, bool, int>;  // (urgency, arrival, ends, node), smallest first
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> possible;
  std::int64_t arrival = 0;
  const auto urgency = [&](Event event) -> std::int64_t {
    const auto& node = ensemble.nodes[static_cast<std::size_t>(event.node)];
    switch (schedule.order) {
      case Order::random: return static_cast<std::int64_t>(random());
      case Order::lowest_rank: return node.rank;
      case Order::highest_rank: return -node.rank;
      case Order::newest: return -arrival;
      case Order::oldest: return arrival;
      case Order::late_sends: return event.ends && node.step->kind == StepKind::send ? 1 : 0;
    }
    return 0;
  };
  std::vector<Event> fresh;
  for (;;) {
    simulator.take_possible(fresh);
    for (Event event : fresh) {
      possible.emplace(urgency(event), arrival, event.ends, event.node);
      ++arrival;
    }
    if (possible.empty()) break;
    const auto [key, when, ends, node] = possible.top();
    possible.pop();
    simulator.fire({ends, node});
  }
  check_results(ensemble, expressions, simulator, schedule.conditions.in_place);
}

std::size_t check_all_runs(const Ensemble& ensemble, Expressions& expressions, const Conditions& conditions,
                           std::size_t limit) {
  struct Branch {
    Simulator simulator;
    std::vector<Event> ends;
  };
  std::vector<Event> fresh;
  const auto begin_all = [&](Branch& branch) {
    for (branch.simulator.take_possible(fresh); !fresh.empty(); branch.simulator.take_possible(fresh)) {
      for (Event event : fresh) {
        if (event.ends) {
          branch.ends.push_back(event);
        } else {
          branch.simulator.fire(event);
        }
      }
    }
  };
  std::unordered_set<std::string> seen;
  std::vector<Branch> open;
  open.push_back({Simulator(ensemble, expressions, conditions), {}});
  begin_all(open.back());
  seen.insert(open.back().simulator.fingerprint());
  while (!open.empty()) {
    Branch branch = std::move(open.back());
    open.pop_back();
    if (branch.ends.empty()) check_results(ensemble, expressions, branch.simulator, conditions.in_place);
    const std::size_t choices = branch.ends.size();
    for (std::size_t choice = 0; choice < choices; ++choice) {
      const Event chosen = branch.ends[choice];
      Branch next = choice + 1 < choices ? branch : std::move(branch);
      next.ends.erase(next.ends.begin() + static_cast<std::ptrdiff_t>(choice));
      next.simulator.fire(chosen);
      begin_all(next);
      if (!seen.insert(next.simulator.fingerprint()).second) continue;
      if (seen.size() > limit) throw Broken("more than " + std::to_string(limit) + " states");
      open.push_back(std::move(next));
    }
  }
  return seen.size();
}

}  // namespace trireme::plan::proof
