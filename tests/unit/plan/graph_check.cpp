// SPDX-License-Identifier: Apache-2.0
#include "unit/plan/graph_check.hpp"

#include "unit/plan/expressions.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace trireme::plan::proof {
namespace {

struct Access {
  int step;
  bool write;
};

bool inside(BlockRange range, BlockRange outer) {
  return range.first >= outer.first && range.first + range.count <= outer.first + outer.count;
}

class GraphCheck {
 public:
  explicit GraphCheck(const Plan& plan) : plan_(plan), steps_(plan.mine.steps) {}

  void run() {
    for (int index = 0; index < static_cast<int>(steps_.size()); ++index) {
      step_ = index;
      note_ancestors();
      check_form();
      touch();
    }
    for (int block = 0; block < plan_.mine.output_blocks.count; ++block) {
      const bool written = written_output_.count(plan_.mine.output_blocks.first + block) != 0;
      if (!written && plan_.shape.collective != Collective::broadcast) broken("leaves an output block unwritten");
    }
    for (int slot = 0; slot < static_cast<int>(plan_.mine.scratch.size()); ++slot) {
      const BlockRange blocks = plan_.mine.scratch[static_cast<std::size_t>(slot)].blocks;
      for (int block = blocks.first; block < blocks.first + blocks.count; ++block) {
        if (cells_.count({slot, block}) == 0) broken("has a slot without use");
      }
    }
    check_order();
  }

 private:
  [[noreturn]] void broken(const std::string& what) const {
    throw Broken("step " + std::to_string(step_) + " " + what);
  }

  const Step& step() const { return steps_[static_cast<std::size_t>(step_)]; }
  bool ancestor(int earlier, int later) const {
    const auto index = static_cast<std::size_t>(earlier);
    return (ancestors_[static_cast<std::size_t>(later)][index / 64] >> index % 64 & 1u) != 0;
  }

  void note_ancestors() {
    std::vector<std::uint64_t> all(steps_.size() / 64 + 1, 0);
    for (int earlier : step().depends_on) {
      if (earlier < 0 || earlier >= step_) broken("waits for a later step");
      const auto index = static_cast<std::size_t>(earlier);
      all[index / 64] |= std::uint64_t{1} << index % 64;
      for (std::size_t word = 0; word < all.size(); ++word) all[word] |= ancestors_[index][word];
    }
    ancestors_.push_back(std::move(all));
  }

  void check_operand(Operand operand) const {
    const BlockRange blocks = step().blocks;
    const Collective collective = plan_.shape.collective;
    const bool moves = collective == Collective::all_gather || collective == Collective::gather ||
                       collective == Collective::scatter || collective == Collective::all_to_all;
    switch (operand.space) {
      case Space::input:
        if (!inside(blocks, plan_.mine.input_blocks)) broken("leaves the input");
        if (operand.role != Role::input && !(moves && operand.role == Role::output)) broken("reads input wrongly");
        return;
      case Space::output:
        if (!inside(blocks, plan_.mine.output_blocks)) broken("leaves the output");
        if (operand.role != Role::output) broken("takes output for another dtype");
        return;
      case Space::scratch:
        if (operand.slot < 0 || operand.slot >= static_cast<int>(plan_.mine.scratch.size())) broken("has no such slot");
        const ScratchSlot& slot = plan_.mine.scratch[static_cast<std::size_t>(operand.slot)];
        if (!inside(blocks, slot.blocks) || operand.role != slot.role) broken("uses a slot for something else");
        return;
    }
  }

  void check_form() const {
    const Step& s = step();
    const bool to_output = s.destination.space == Space::output;
    if (s.blocks.count < 1 || s.blocks.first < 0 || s.blocks.first + s.blocks.count > plan_.blocks)
      broken("names no block");
    if (plan_.loopable && s.blocks.count != 1) broken("names several blocks of a loopable plan");
    switch (s.kind) {
      case StepKind::send:
        if (s.wire != s.source.role || s.finalize) broken("sends another dtype than it reads");
        return;
      case StepKind::recv:
        if (s.wire != s.destination.role || s.finalize) broken("receives another dtype than it writes");
        return;
      case StepKind::copy: return;
      case StepKind::recv_reduce: broken("is of a kind that no plan has yet");
      case StepKind::load_reduce: break;
    }
    if (s.destination.role == Role::input) broken("rounds a partial sum to the input dtype");
    if (s.finalize != to_output) broken("finalizes elsewhere than in the output");
    int depth = 0;
    std::set<int> used;
    for (int token : s.program) {
      if (token == -1) {
        if (--depth < 1) broken("combines an empty stack");
      } else {
        if (token < 0 || token >= static_cast<int>(s.sources.size()) || !used.insert(token).second)
          broken("pushes a source twice or none");
        ++depth;
      }
    }
    if (depth != 1 || used.size() != s.sources.size()) broken("does not combine all sources to one value");
  }

  void touch() {
    const Step& s = step();
    switch (s.kind) {
      case StepKind::send: note(s.source, false); return;
      case StepKind::recv: note(s.destination, true); return;
      case StepKind::load_reduce:
        for (Operand source : s.sources) note(source, false);
        note(s.destination, true);
        return;
      case StepKind::copy:
        note(s.source, false);
        note(s.destination, true);
        return;
      case StepKind::recv_reduce: return;
    }
  }

  void note(Operand operand, bool write) {
    check_operand(operand);
    for (int b = 0; b < step().blocks.count; ++b) {
      const int block = step().blocks.first + b;
      const bool scratch = operand.space == Space::scratch;
      const bool apart = plan_.shape.collective == Collective::all_to_all && operand.space == Space::output;
      auto& accesses = cells_[{scratch ? operand.slot : apart ? -2 : -1, block}];
      if (scratch && !write && accesses.empty()) broken("reads scratch nobody wrote");
      if (write && operand.space == Space::input) broken("writes the input");
      if (write && operand.space == Space::output) written_output_.insert(block);
      accesses.push_back({step_, write});
    }
  }

  void check_order() {
    std::set<std::pair<int, int>> conflicts;
    for (const auto& [cell, accesses] : cells_) {
      for (std::size_t later = 0; later < accesses.size(); ++later) {
        for (std::size_t earlier = 0; earlier < later; ++earlier) {
          if (accesses[earlier].step == accesses[later].step) continue;
          if (!accesses[earlier].write && !accesses[later].write) continue;
          step_ = accesses[later].step;
          if (!ancestor(accesses[earlier].step, step_))
            broken("does not wait for step " + std::to_string(accesses[earlier].step) +
                   ", which shares memory with it");
          conflicts.insert({accesses[earlier].step, step_});
        }
      }
    }
    for (step_ = 0; step_ < static_cast<int>(steps_.size()); ++step_) {
      for (int wait : step().depends_on) {
        bool needed = conflicts.count({wait, step_}) != 0;
        if (wait == step().paced_by) needed = step().kind == StepKind::send;
        for (int other : step().depends_on) needed = needed && (other == wait || !ancestor(wait, other));
        if (!needed) broken("waits for step " + std::to_string(wait) + " without need");
      }
    }
  }

  const Plan& plan_;
  const std::vector<Step>& steps_;
  int step_ = 0;
  std::vector<std::vector<std::uint64_t>> ancestors_;  ///< bit i of entry j: step i comes before step j
  /// (slot, or -1 for the caller's memory, -2 for the output where that is another memory; block)
  std::map<std::pair<int, int>, std::vector<Access>> cells_;
  std::set<int> written_output_;
};

}  // namespace

void check_graph(const Plan& plan) { GraphCheck(plan).run(); }

}  // namespace trireme::plan::proof
